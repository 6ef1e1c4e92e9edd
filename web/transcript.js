// Runs once with the conversation's element: chips, links to sources, copying, and telling a screen reader what came.
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
const show = (target, block) => target.scrollIntoView({ behavior: calm.matches ? "auto" : "smooth", block });

const reveal = (target) => {
  for (let at = target; at && at !== element; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  element.querySelectorAll(".pw-found").forEach((one) => one.classList.remove("pw-found"));
  target.classList.add("pw-found");
  show(target, "center");
  target.focus({ preventScroll: true });
};

const copy = async (button) => {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.style.position = "fixed";
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  const words = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = words; }, 1500);
};

element.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-ask]");
  if (chip) return trigger("click", { ask: chip.dataset.ask });
  const button = event.target.closest("[data-copy]");
  if (button) return copy(button);
  const link = event.target.closest('a[href^="#"]');
  const target = link && document.getElementById(link.getAttribute("href").slice(1));
  if (target) {
    event.preventDefault();
    reveal(target);
  }
});

const open = new Set(); // ids of what the reader has unfolded, kept when a new turn is shown
element.addEventListener("toggle", (event) => {
  if (event.target.isConnected) open[event.target.open ? "add" : "delete"](event.target.id);
}, true);

watch("value", () => {
  open.forEach((id) => { const folded = document.getElementById(id); if (folded) folded.open = true; });
  const turns = element.querySelectorAll(".pw-turn");
  const last = turns[turns.length - 1];
  if (!last) return;
  show(last, "start");
  if (document.activeElement === document.body) { // the button that was clicked is gone: go on from the new turn
    const heading = last.querySelector("h2");
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
  if (last.dataset.announce) element.querySelector(".pw-live").textContent = last.dataset.announce;
});
