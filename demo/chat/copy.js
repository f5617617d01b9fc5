() => {
  // The latest answer as plain text, without the line of figures below it.
  const answer = [...document.querySelectorAll('#chat [data-testid="bot"]')].pop()?.cloneNode(true);
  if (!answer) return [];
  answer.querySelectorAll(".readout").forEach((line) => line.remove());
  answer.querySelectorAll("br").forEach((end) => end.replaceWith("\n"));
  answer.querySelectorAll("div").forEach((block) => block.prepend("\n"));  // what the page adds below the answer
  const text = answer.textContent.replaceAll("\u00a0", " ").trim();
  const done = () => {
    const button = document.querySelector("#copy");
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(done);
  else {
    // Without https, browsers have no clipboard of that kind.
    const box = document.body.appendChild(document.createElement("textarea"));
    box.value = text;
    box.select();
    if (document.execCommand("copy")) done();
    box.remove();
  }
  return [];
}
