() => {
  document.addEventListener("keydown", (event) => {
    const box = event.target;
    if (event.key !== "ArrowUp" || !box.matches("#prompt textarea") || box.value) return;
    const asked = [...document.querySelectorAll('#chat [data-testid="user"] .prose, #chat [data-testid="user"]')].pop();
    if (!asked) return;
    event.preventDefault();
    box.value = asked.innerText.replaceAll("\u00a0", " ").trim();
    box.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
