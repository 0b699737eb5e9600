"""The code of docs/webhooks.md, run as its readers run it: a program of each language that judges many messages.

A program reads a line of JSON for each case and prints `true` or `false`.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
SECONDS_MAX = 400.0  # Go compiles its standard library the first time: a minute on two slow cores.


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it was received, and the secret that its receiver has."""

    secret: str
    headers: dict[str, str]
    body: bytes


class Language(msgspec.Struct, frozen=True, kw_only=True):
    tool: str
    block: str  # What the page's code block begins with, fence included.
    file: str
    driver: str
    driver_file: str
    build: tuple[str, ...] = ()
    run: tuple[str, ...]


PYTHON_DRIVER = """
import base64, json, sys
from verify import verify

for line in sys.stdin:
    case = json.loads(line)
    try:
        genuine = bool(verify(case["secret"], case["headers"], base64.b64decode(case["body"])))
    except ValueError:
        genuine = False
    print(json.dumps(genuine))
"""

PACKAGE_DRIVER = """
import base64, json, pathlib, sys
snippet = compile(pathlib.Path("snippet.txt").read_text(), "snippet", "exec")

for line in sys.stdin:
    case = json.loads(line)
    try:
        exec(snippet, case | {"body": base64.b64decode(case["body"])})
        genuine = True
    except Exception:
        genuine = False
    print(json.dumps(genuine))
"""

NODE_DRIVER = """
import { readFileSync } from "node:fs";
import { verify } from "./verify.mjs";

for (const line of readFileSync(0, "utf8").split("\\n").filter(Boolean)) {
  const { secret, headers, body } = JSON.parse(line);
  let genuine = false;
  try {
    genuine = Boolean(verify(secret, headers, Buffer.from(body, "base64")));
  } catch (error) {
    if (error.constructor !== Error && !(error instanceof SyntaxError)) throw error;
  }
  console.log(genuine);
}
"""

GO_DRIVER = """
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type headers map[string]string

func (h headers) Get(name string) string { return h[name] }

func main() {
	for lines := json.NewDecoder(os.Stdin); lines.More(); {
		var one struct {
			Secret  string
			Headers headers
			Body    []byte
		}
		if err := lines.Decode(&one); err != nil {
			panic(err)
		}
		fmt.Println(Verify(one.Secret, one.Headers, one.Body) == nil)
	}
}
"""

LANGUAGES: Mapping[str, Language] = {
    "python": Language(
        tool=sys.executable,
        block="```python\nimport base64\n",
        file="verify.py",
        driver=PYTHON_DRIVER,
        driver_file="main.py",
        run=(sys.executable, "main.py"),
    ),
    "standardwebhooks": Language(
        tool=sys.executable,
        block="```python\nfrom standardwebhooks ",
        file="snippet.txt",
        driver=PACKAGE_DRIVER,
        driver_file="main.py",
        run=(sys.executable, "main.py"),
    ),
    "node": Language(
        tool="node",
        block="```js\n",
        file="verify.mjs",
        driver=NODE_DRIVER,
        driver_file="main.mjs",
        run=("node", "main.mjs"),
    ),
    "go": Language(
        tool="go",
        block="```go\n",
        file="verify.go",
        driver=GO_DRIVER,
        driver_file="main.go",
        build=("go", "build", "-o", "judge", "main.go", "verify.go"),
        run=("./judge",),
    ),
}
PRESENT = [name for name, language in LANGUAGES.items() if shutil.which(language.tool)]


class Verifier:
    """The page's code in one language, built in a folder of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._language = LANGUAGES[name]
        self._folder = folder
        code = block(self._language.block).replace("package tekana\n", "package main\n")
        (folder / self._language.file).write_text(code, encoding="utf-8")
        (folder / self._language.driver_file).write_text(self._language.driver, encoding="utf-8")
        if self._language.build:
            self._call(self._language.build)

    def judge(self, cases: Sequence[Case]) -> list[bool]:
        """Return, for each case, whether the page's code takes it for genuine."""
        lines = b"\n".join(map(msgspec.json.encode, cases))
        return [{"true": True, "false": False}[line] for line in self._call(self._language.run, lines).split()]

    def _call(self, argv: Sequence[str], lines: bytes = b"") -> str:
        done = subprocess.run(
            argv, cwd=self._folder, input=lines, capture_output=True, timeout=SECONDS_MAX, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()


def block(start: str) -> str:
    """Return the page's code block that starts so, without its fences."""
    [found] = re.findall(re.escape(start) + r".*?^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return str(found).partition("\n")[2].removesuffix("```")
