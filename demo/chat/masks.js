// Clicks in the list of masks, on the names in the chat and in the picture. Runs as the `js_on_load` of the gr.HTML that is the list,
// and tells `pick_mask` (demo/chat/masks.py) which mask is meant and what to do with it.
function pick(event) {
  const picture = event.target.closest("#stage img");
  if (picture) return pickPoint(picture, event);
  const button = event.target.closest("#masks [data-act]");
  const noun = event.target.closest("#chat .noun");
  if (!button && !noun) return;
  event.preventDefault();
  const index = button ? button.dataset.mask : /noun-(\d+)/.exec(noun.className)[1];
  trigger("select", { index: Number(index), value: button ? button.dataset.act : "select" });
}

// Where in the picture: unlike Gradio's own event, right for pictures that are smaller than their frame, too.
function pickPoint(picture, event) {
  const box = picture.getBoundingClientRect();
  const { naturalWidth: width, naturalHeight: height } = picture;
  let scale = Math.min(box.width / width, box.height / height);
  if (getComputedStyle(picture).objectFit === "scale-down") scale = Math.min(scale, 1);
  const x = Math.floor((event.clientX - box.left - (box.width - width * scale) / 2) / scale);
  const y = Math.floor((event.clientY - box.top - (box.height - height * scale) / 2) / scale);
  if (x >= 0 && y >= 0 && x < width && y < height) trigger("select", { index: [x, y], value: "point" });
}

function press(event) {
  if ((event.key === "Enter" || event.key === " ") && event.target.matches("#chat .noun")) pick(event);
}

// The list is mounted anew with each visit; the listeners of the one before go.
window.stampMaskEvents?.abort();
window.stampMaskEvents = new AbortController();
document.addEventListener("click", pick, { signal: window.stampMaskEvents.signal });
document.addEventListener("keydown", press, { signal: window.stampMaskEvents.signal });
