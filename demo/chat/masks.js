// Clicks in the list of masks and on the names in the chat. Runs as the `js_on_load` of the gr.HTML that is the list,
// and tells `pick_mask` (demo/chat/masks.py) which mask is meant and what to do with it.
function pick(event) {
  const target = event.target.closest("#masks [data-act], #chat .noun[data-mask]");
  if (!target) return;
  event.preventDefault();
  trigger("select", { index: Number(target.dataset.mask), value: target.dataset.act || "select" });
}

function press(event) {
  if ((event.key === "Enter" || event.key === " ") && event.target.matches("#chat .noun[data-mask]")) pick(event);
}

// The list is mounted anew with each visit; the listeners of the one before go.
window.stampMaskEvents?.abort();
window.stampMaskEvents = new AbortController();
document.addEventListener("click", pick, { signal: window.stampMaskEvents.signal });
document.addEventListener("keydown", press, { signal: window.stampMaskEvents.signal });
