// Clicks in the list of masks and on the names in the chat. Runs as the `js_on_load` of the gr.HTML that is the list,
// and tells `pick_mask` (demo/chat/masks.py) which mask is meant and what to do with it.
function pick(event) {
  const button = event.target.closest("#masks [data-act]");
  const noun = event.target.closest("#chat .noun");
  if (!button && !noun) return;
  event.preventDefault();
  const index = button ? button.dataset.mask : /noun-(\d+)/.exec(noun.className)[1];
  trigger("select", { index: Number(index), value: button ? button.dataset.act : "select" });
}

function press(event) {
  if ((event.key === "Enter" || event.key === " ") && event.target.matches("#chat .noun")) pick(event);
}

// The list is mounted anew with each visit; the listeners of the one before go.
window.stampMaskEvents?.abort();
window.stampMaskEvents = new AbortController();
document.addEventListener("click", pick, { signal: window.stampMaskEvents.signal });
document.addEventListener("keydown", press, { signal: window.stampMaskEvents.signal });
