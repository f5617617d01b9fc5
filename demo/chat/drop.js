// A picture dropped or pasted anywhere on the page is chosen, as if it were dropped on the upload area.
() => {
  const INPUT = "#picture input[type=file]";
  const hasFiles = (data) => [...(data?.types ?? [])].includes("Files");

  // The upload area is not on the page while a picture is shown.
  const uploadArea = async () => {
    if (!document.querySelector(INPUT)) document.querySelector("#change")?.click();
    for (let tries = 0; tries < 100 && !document.querySelector(INPUT); tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 50));
    return document.querySelector(INPUT);
  };

  const choose = async (file) => {
    const input = await uploadArea();
    if (!input) return;
    const files = new DataTransfer();
    // The server says what a file is that is no image; Gradio would refuse it without a reason.
    const type = file.type.startsWith("image/") ? file.type : "image/png";
    files.items.add(new File([file], file.name, { type }));
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  const onChat = () => document.querySelector("#sides")?.checkVisibility();

  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event.dataTransfer) || !onChat()) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    const [file] = event.dataTransfer?.files ?? [];
    if (!file || !onChat()) return;
    event.preventDefault();
    event.stopPropagation();
    choose(file);
  }, { capture: true });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!file || !onChat() || event.target.closest?.("#picture")) return;
    event.preventDefault();
    choose(file);
  });
}
