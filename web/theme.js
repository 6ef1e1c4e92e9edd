// Runs once with the header's element: the page's language, and light or dark as the user last chose.
document.documentElement.lang = "en";
const dark = () => document.body.classList.contains("dark");
const remember = (value) => { try { localStorage.setItem("poolwise-theme", value); } catch { /* private window */ } };
let chosen = null;
try { chosen = localStorage.getItem("poolwise-theme"); } catch { /* private window */ }
if (chosen && !new URLSearchParams(location.search).has("__theme")) document.body.classList.toggle("dark", chosen === "dark");
element.querySelector(".pw-theme").addEventListener("click", () => {
  document.body.classList.toggle("dark");
  remember(dark() ? "dark" : "light");
});
