const form = document.getElementById("filter"), fields = form.elements;
const claims = [...document.querySelectorAll(".claim")].map(shown => {
  const text = `${shown.id} ${shown.textContent}`.toLowerCase();
  return { shown, text, lecture: shown.closest(".lecture").dataset.lecture };
});

function filter() {
  const words = fields.words.value.toLowerCase().split(/\s+/), { verdict, lecture } = fields;
  let found = 0;
  for (const { shown, text, lecture: letter } of claims) {
    const match = words.every(word => text.includes(word))
      && (!verdict.value || shown.classList.contains(verdict.value)) && (!lecture.value || letter === lecture.value);
    shown.hidden = !match;
    found += match;
  }
  for (const section of document.querySelectorAll(".lecture")) {
    section.hidden = !section.querySelector(".claim:not([hidden])");
  }
  document.body.classList.toggle("filtered", found < claims.length);
  fields.found.textContent = `${found} of ${claims.length} claims`;
}

// A link to a claim that is filtered out shows all claims.
function follow() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.closest("[hidden]")) {
    form.reset();
    filter();
    target.scrollIntoView();
  }
}

form.addEventListener("input", filter);
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("reset", () => setTimeout(filter));
addEventListener("hashchange", follow);
form.hidden = false;
filter();
follow();
