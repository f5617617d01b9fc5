// Clicks in the list of masks, on the names in the chat and in the picture, and previews where the pointer is. Runs as the `js_on_load` of the gr.HTML that is the list,
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

// Where the picture is in its frame, which may be larger: its left and top edge in the window, and its scale. The list
// says how large it is: the element itself does not know while a new picture is on its way. Null without masks.
function place(picture) {
  const list = document.querySelector("#masks ul");
  if (!list) return null;
  const box = picture.getBoundingClientRect();
  const [width, height] = [Number(list.dataset.width), Number(list.dataset.height)];
  let scale = Math.min(box.width / width, box.height / height);
  if (getComputedStyle(picture).objectFit === "scale-down") scale = Math.min(scale, 1);
  const [left, top] = [box.left + (box.width - width * scale) / 2, box.top + (box.height - height * scale) / 2];
  return { left, top, scale, width, height };
}

// Where in the picture: unlike Gradio's own event, right for pictures that are smaller than their frame, too.
function pickPoint(picture, event) {
  const placed = place(picture);
  if (!placed) return;
  const { left, top, scale, width, height } = placed;
  const [x, y] = [Math.floor((event.clientX - left) / scale), Math.floor((event.clientY - top) / scale)];
  if (x >= 0 && y >= 0 && x < width && y < height) trigger("select", { index: [x, y], value: "point" });
}

// The outline of the mask whose name or row the pointer or the keyboard is at, laid over the picture.
function preview(event) {
  const noun = event.target.closest?.("#chat .noun");
  const index = noun ? /noun-(\d+)/.exec(noun.className)[1] : event.target.closest?.("#masks li")?.dataset.mask;
  const shown = document.querySelector("#stage .preview");
  if (shown?.dataset.mask === index) return;
  shown?.remove();
  const outline = index && document.querySelector(`#masks li[data-mask="${index}"] svg`);
  const picture = document.querySelector("#stage img");
  if (!outline || !picture) return;
  const { left, top, scale, width, height } = place(picture);
  const frame = picture.parentElement;
  const box = frame.getBoundingClientRect();
  const copy = outline.cloneNode(true);
  copy.classList.add("preview");
  copy.dataset.mask = index;
  Object.assign(copy.style, {
    left: `${left - box.left}px`, top: `${top - box.top}px`, width: `${width * scale}px`, height: `${height * scale}px`,
  });
  frame.style.position = "relative";
  frame.append(copy);
}

function press(event) {
  if ((event.key === "Enter" || event.key === " ") && event.target.matches("#chat .noun")) pick(event);
}

// The list is mounted anew with each visit; the listeners of the one before go.
window.stampMaskEvents?.abort();
window.stampMaskEvents = new AbortController();
document.addEventListener("click", pick, { signal: window.stampMaskEvents.signal });
document.addEventListener("keydown", press, { signal: window.stampMaskEvents.signal });
for (const moved of ["pointerover", "focusin"])
  document.addEventListener(moved, preview, { signal: window.stampMaskEvents.signal });
