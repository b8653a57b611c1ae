"""The page that describes the web API, with a form to try it; it is complete by itself and needs no network."""

import html
from collections.abc import Iterator, Mapping
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #22262b; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2rem }
code { background: #f2f3f5; padding: .1rem .3rem; border-radius: 4px }
table { border-collapse: collapse; width: 100% } td { border-top: 1px solid #e3e5e9; padding: .35rem .6rem .35rem 0 }
td { vertical-align: top } form { display: flex; flex-wrap: wrap; gap: 1rem; align-items: end }
label { display: grid; gap: .2rem; font-size: .9rem; color: #6b7280 }
input, select, button { font: inherit } img { max-width: 100%; margin-top: 1rem } pre { white-space: pre-wrap }
"""
SCRIPT = """
document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault()
  const fields = new FormData(event.target), body = new FormData(), query = new URLSearchParams()
  body.append("image", fields.get("image"))
  for (const name of ["form", "threshold"]) if (fields.get(name)) query.set(name, fields.get(name))
  const picture = document.querySelector("img"), text = document.querySelector("pre")
  picture.removeAttribute("src")
  text.textContent = "..."
  const answer = await fetch("/api/process_image?" + query, { method: "POST", body })
  if (answer.headers.get("content-type") === "image/png") {
    text.textContent = ""
    picture.src = URL.createObjectURL(await answer.blob())
  } else {
    text.textContent = (await answer.text()).slice(0, 2000)
  }
})
"""
FORM = """
<form>
  <label>image <input type="file" name="image" required></label>
  <label>form <select name="form"><option>overlay<option>mask<option>json</select></label>
  <label>threshold <input type="number" name="threshold" min="0.01" max="1" step="0.01" placeholder="tuned"></label>
  <button>Send</button>
</form>
<pre></pre><img alt="">
"""


def render_page(schema: Mapping[str, Any]) -> str:
    """The page of an OpenAPI description."""
    info = schema["info"]
    rows = "".join(_operations(schema["paths"]))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(info["title"])}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(info['title'])}</h1><p>{html.escape(info['description'])}. "
        f'The same as a description for programs: <a href="/openapi.json">openapi.json</a>.</p>'
        f"<h2>Try it</h2>{FORM}{rows}<script>{SCRIPT}</script></html>"
    )


def _operations(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            about = html.escape(operation.get("description", ""))
            yield f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{about}</p><table>"
            for parameter in operation.get("parameters", ()):
                yield _row(parameter["name"], parameter.get("description", ""))
            for status, response in operation["responses"].items():
                yield _row(status, response["description"])
            yield "</table>"


def _row(name: str, about: str) -> str:
    return f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(about)}</td></tr>"
