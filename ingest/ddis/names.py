"""A reference page in, the names it goes by, its role, its Windows version and its replacement out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.ddis.pages import Page, Paragraph, plain, sentences

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{3,79}")


def aliases(page: Page) -> tuple[str, ...]:
    """
    The other identifiers a routine is known by.

    Args:
        page: Its page.

    Returns:
        `api_name` entries, W and A forms, macro forms, EvtXxx names and PXxx typedefs, sorted; words that could be prose are left out.
    """
    name = page.name
    keywords = [part.strip() for part in page.front.get("ms.keywords", "").split(",")]
    stem = page.id.split("/")[1] if "/" in page.id else ""
    found = {part.rpartition("/")[2] for part in keywords if part.lower().startswith(f"{stem}/")}
    found |= {item for item in page.lists.get("api_name", []) if "." not in item}
    found |= {part for part in keywords if _related(part, name)}
    found |= set(re.findall(r"\b[A-Z]\w+[AW]\b", page.front.get("req.unicode-ansi", "")))
    if re.search(r"[a-zN]\d$", name) and page.header.startswith("fwp"):
        found.add(name[:-1])  # a macro for the newest version
    if page.kind == "callback" and re.fullmatch(r"[A-Z0-9_]+", name):
        found.add(f"P{name}")
        if name.startswith("EVT_"):
            found.add(f"PFN_{name[4:]}")
    return tuple(sorted(alias for alias in found if alias.lower() != name.lower() and _usable(alias)))


def _related(word: str, name: str) -> bool:
    """Whether a keyword of the page is a sibling spelling of its routine (RtlCopyBytes beside RtlCopyMemory)."""
    if not _IDENTIFIER.fullmatch(word) or not re.search(r"[a-z]", word) or re.search(r"_[0-9a-f]{8}", word):
        return False
    common = 0
    while common < min(len(word), len(name)) and word[common] == name[common]:
        common += 1
    return common >= 5 and common >= len(name) // 3


def _usable(alias: str) -> bool:
    if not _IDENTIFIER.fullmatch(alias):
        return False
    return bool(re.search(r"[a-z][A-Z]|_|\d", alias)) or (alias.isupper() and len(alias) > 6)


def friendly(page: Page) -> set[str]:
    """
    The names that a page's prose uses for its routine, such as *IoCompletion* or `Cancel`.

    Args:
        page: The page.

    Returns:
        Names, prose words among them; only for reading that page.
    """
    stem = page.id.split("/")[1] if "/" in page.id else ""
    keywords = [part.strip() for part in page.front.get("ms.keywords", "").split(",")]
    found = {part.rpartition("/")[2] for part in keywords if part.lower().startswith(f"{stem}/")}
    lead = page.front.get("description", "") + " " + page.body.partition("## -description")[2][:900]
    marked = re.findall(r"(?:\*{1,2}|<i>|<b>|\b_)(\w+?)(?:\*{1,2}|</i>|</b>|_)\s+(?:event )?(?:callback|routine|function|method|handler)", lead)
    found |= {word for word in marked if word[:1].isupper()}
    found |= set(re.findall(r"\b(Evt\w+|[A-Z][a-z]+[A-Z]\w+) (?:event )?(?:callback )?(?:routine|function|callback)", plain(page.front.get("description", ""))))
    return {word for word in found if len(word) > 3}


_TABLES = re.compile(
    r"P(?:ALLOCATE|BUILD|CALCULATE|CANCEL|CONFIGURE|CREATE|FLUSH|FREE|INITIALIZE|JOIN|LEAVE|MAP|PUT|READ)_(?:\w*(?:ADAPTER|BUFFER|DMA|SCATTER|TRANSFER|DOMAIN|REGISTERS)\w*)"
    r"|PGET_(?:DMA|SCATTER|COMMON_BUFFER)\w*|IOMMU_(?!\w*(?:HANDLER|CALLBACK)$)\w+|GET_DMA_ADAPTER|GET_SET_DEVICE_DATA|TRANSLATE_BUS_ADDRESS"
    r"|[GS]ET_D3COLD\w*|D3COLD_\w+|GET_IDLE_WAKE_INFO|PCI_MSIX_\w+|GET_DEVICE_RESET_STATUS|DEVICE_RESET_HANDLER|GET_VIRTUAL_\w+|GET_UPDATED_BUS_RESOURCE"
    r"|GET_SDEV_IDENTIFIER|NPEM_CONTROL_\w+|FPGA_\w+|REENUMERATE_SELF|ENABLE_VIRTUALIZATION"
    r"|P(?:ALLOCATE|FREE|CHANGE|GET|REGISTER|UNREGISTER|SETUP|SET|TRANSFER)_(?:CONTIGUOUS_DMA|DMA|BANDWIDTH|DEVICE_INFORMATION|LINK|RESOURCE|WALL|EVENT|NOTIFICATION|CODEC|CAPTURE|RENDER)\w*"
    r"|PFNBTH_\w+|PUSB_BUSIFFN_\w+|NDIS_SWITCH_\w+|PAGP_\w+|DXGKCB_\w+|PFND3D\w+CB|POFXCALLBACK\w+|PFN_WSK_(?!\w*EVENT)\w+"
    r"|PI8042_(?:ISR_WRITE_PORT|QUEUE_PACKET)|PSDBUS_ACKNOWLEDGE_INT_ROUTINE"
)
"""Function pointers that the system hands to the driver (DMA_OPERATIONS and other interfaces): read in their pages."""
_OWN = re.compile(r"FILTER_\w+|MINIPORT_\w+|PROTOCOL_\w+|HW_\w+|PHW_\w+|PVIDEO_HW_\w+|DXGKDDI_\w+|DXGK_BRIGHTNESS\w+|PFND3DDDI_\w+(?<!CB)|IDE_\w+|DMA_\w+_HANDLER|EVT_\w+")
"""Callbacks whose names say that the driver implements them."""
_DRIVER_METHODS = re.compile(r"I(?:Miniport|AdapterP|Pin(?:Count|Name)|PreFetch|PowerNotify|MXF|DrmAudioStream|Synthesizer|AudioSignalModeNotify)\w*::")
_IMPLEMENTED = re.compile(
    r"\b(?:callback|call-back)\b|\bdriver's\b|driver-supplied|\bimplement(?:s|ed|ation)?\b|calls? (?:a|the|your|an?) (?:\w+ )?driver|is called by|called when|\bcallout\b"
    r"|\bentry point\b|\bevent handler\b|\bclient-supplied\b|\bcaller-supplied\b",
    re.IGNORECASE,
)


def role(page: Page, text: Sequence[Paragraph]) -> str:
    """
    Who calls the routine.

    Args:
        page: The page.
        text: Its paragraphs.

    Returns:
        `implemented_by_driver` for most callbacks and for methods of miniport interfaces, `called_by_driver` for functions and for
        the system's tables of function pointers.
    """
    lead = " ".join(p.text for p in text if p.section == "description") + " " + page.front.get("description", "")
    if page.kind != "callback":
        if re.search(r"\bis (?:a|an) (?:driver|vendor|miniport|PEP|client|minidriver)[\w -]{{0,30}}-(?:supplied|implemented|defined)", lead):
            return "implemented_by_driver"
        return "implemented_by_driver" if _DRIVER_METHODS.match(page.name) else "called_by_driver"
    if _TABLES.fullmatch(page.name):
        return "called_by_driver"
    if _OWN.fullmatch(page.name) or re.match(r"called at", page.front.get("req.irql", ""), re.IGNORECASE):
        return "implemented_by_driver"
    remarks = " ".join(p.text for p in text if p.section == "remarks")
    names = "|".join(re.escape(n) for n in {page.name, *friendly(page)})
    own_called = re.search(
        rf"\b(?:callers? (?:of|to) (?:the |this )?(?:{names}|routine|function)|drivers? (?:must |can |should |may )?calls? (?:the )?(?:{names})|call (?:the )?(?:{names}) (?:routine |function |method |callback )?(?:to|at|only))\b",
        lead + " " + remarks,
    )
    not_by_name = re.search(r"not a system routine that can be called directly by name|called only by pointer", remarks)
    if not_by_name:
        return "called_by_driver"
    if own_called and not _IMPLEMENTED.search(lead):
        return "called_by_driver"
    by_system = re.search(
        r"\b(?:is|are) implemented by (?:the )?(?:system|operating system|bus driver|port driver|framework|class driver|PoFx|power management framework)", lead + " " + remarks
    )
    if by_system:
        return "called_by_driver"
    return "implemented_by_driver"


_VERSION = re.compile(
    r"Windows\s+(?:(?:10|11)(?:,?\s*version\s*\w+)?|8\.1|8|7|Vista(?: with SP\d| SP\d)?|XP(?: with (?:Service Pack|SP) ?\d| SP\d)?|2000|Server\s+20\d\d(?: R2)?|NT 4\.0)"
    r"|NDIS\s+\d\.\d+|KMDF\s+(?:version\s+)?\d\.\d+|WDDM\s+\d\.\d+|DirectX \d+\.\d+",
    re.IGNORECASE,
)


def since(page: Page) -> str:
    """The first Windows (or framework) version of a routine as the page's front matter gives it, empty when it gives none."""
    text = " ".join(page.front.get("req.target-min-winverclnt", "").replace("\u00a0", " ").replace("\\", "").split())
    text = re.sub(r"Requires? (?:the )?WDK for[^.;]*?[.;]?\s*(?=Target|$)", "", text)  # the kit one builds with is not the Windows one runs on
    match = _VERSION.search(text)
    if match:
        return " ".join(match[0].split())
    kmdf = page.front.get("req.kmdf-ver", "").strip()
    return f"KMDF {kmdf}" if re.fullmatch(r"\d\.\d+", kmdf) else ""


_OUTDATED = re.compile(r"\b(?:deprecated|obsolete)\b|\b(?:superseded|replaced) by\b", re.IGNORECASE)
_OTHERS = re.compile(r"intended to replace|\bwhich is (?:obsolete|deprecated)|supersedes|parameter|\bflag\b|\bmember\b|NDIS 5|chimney|calls? to", re.IGNORECASE)
_BETTER = re.compile(
    r"(?:\b[Uu]se (?:the )?|[Cc]onsider using (?:the )?|(?:replaced|superseded) (?:by|with) (?:the )?|[Cc]all (?:the )?|in favor of (?:the )?)([A-Za-z]+_\w+|[A-Z]\w*[a-z]\w*[A-Z]\w*)"
)


def deprecated_by(page: Page, text: Sequence[Paragraph]) -> str:
    """The routine that a page names in place of its own, empty when it does not say that its own is deprecated."""
    name = page.name
    own = re.compile(rf"\b{re.escape(name)}\b|\b[Tt]his (?:function|routine|macro|method|DDI|API|is)\b|^(?:Obsolete|Deprecated)\b")
    texts = [paragraph.text for paragraph in text if paragraph.section in ("description", "remarks")] + [plain(page.front.get("description", ""))]
    for whole in texts:
        parts = sentences(whole)
        for at, part in enumerate(parts):
            if not _OUTDATED.search(part) or _OTHERS.search(part) or not (own.search(part) or "interface is deprecated" in part):
                continue
            for candidate in _BETTER.findall(" ".join(parts[at : at + 3])):
                if candidate.lower() != name.lower():
                    return str(candidate)
    return ""
