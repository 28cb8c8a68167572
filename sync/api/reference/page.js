
// Comfort only: the page is whole without it.
const contents = document.querySelector(".contents");
const narrow = matchMedia("(max-width: 47.99rem)");
const fit = () => { contents.open = !narrow.matches; };
narrow.addEventListener("change", fit);
fit();
contents.addEventListener("click", (event) => {
  if (narrow.matches && event.target.closest("a")) contents.open = false;
});
document.querySelector(".to-contents").addEventListener("click", () => { contents.open = true; });

// navigator.clipboard is there on https and on this machine itself.
for (const block of navigator.clipboard ? document.querySelectorAll(".examples .block") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${block.querySelector("pre").getAttribute("aria-label")}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  block.append(button);
}
