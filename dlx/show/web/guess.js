const game = document.getElementById("guess"), { first, score, forget } = game.elements;
const KEPT = "dlx guesses", RIGHT = { "yes": "holds", "no": "fails", "cannot tell": "open" };
const tested = [...document.querySelectorAll(".claim:not(.untested)")];
let guesses = {};

// A browser may keep nothing for a file.
try { guesses = JSON.parse(localStorage.getItem(KEPT)) ?? {}; } catch {}

function keep(changed) {
  guesses = changed;
  try { localStorage.setItem(KEPT, JSON.stringify(guesses)); } catch {}
  show();
}

function show() {
  let right = 0, wrong = 0, partly = 0;
  for (const claim of tested) {
    const guess = guesses[claim.id], known = Object.hasOwn(RIGHT, guess);
    claim.classList.toggle("guessed", known);
    claim.querySelector(".guess output").textContent = known ? `You said: ${guess}.` : "";
    if (known && claim.classList.contains("partly")) partly += 1;
    else if (known && claim.classList.contains(RIGHT[guess])) right += 1;
    else if (known) wrong += 1;
  }
  const told = right + wrong, others = partly ? ` Not counted, as they hold partly: ${partly}.` : "";
  score.textContent = told + partly ? `Right: ${right} of ${told}.${others}` : "No guess so far.";
  forget.hidden = !(told + partly);
  document.body.classList.toggle("guessing", first.checked);
  fields.verdict.disabled = first.checked;
}

for (const claim of tested) {
  const box = document.createElement("p");
  box.className = "guess";
  for (const word of Object.keys(RIGHT)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = word;
    button.addEventListener("click", () => keep({ ...guesses, [claim.id]: word }));
    box.append(button);
  }
  box.append(document.createElement("output"));
  claim.querySelector(".words").after(box);
}

first.addEventListener("change", () => {
  fields.verdict.value = "";
  filter();
  show();
});
forget.addEventListener("click", () => keep({}));
game.addEventListener("submit", event => event.preventDefault());
game.hidden = false;
show();
