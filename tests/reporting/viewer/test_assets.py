"""The program of the viewer: the vendored library is the one that is documented, and fits."""

import base64
import gzip
import hashlib
import re

from zoo.reporting.viewer.assets import LIBRARY, MODULES, import_map, library, style


def test_the_library_is_the_one_that_its_page_describes_and_carries_its_licences():
    page = (LIBRARY.parent / "README.md").read_text()
    assert hashlib.sha256(LIBRARY.read_bytes()).hexdigest() in page
    licence = (LIBRARY.parent / "LICENSE").read_text().strip()
    text = LIBRARY.read_text(encoding="ascii")
    assert text.startswith(f"/*!\n{licence}\n*/")
    assert "Niivue" in text[text.rindex("export{") :]
    assert gzip.decompress(base64.b64decode(library())) == LIBRARY.read_bytes()
    assert len(library()) < 400_000


def test_every_module_is_in_the_import_map_and_imports_only_such_modules():
    names = import_map()["imports"]
    imported = set()
    for path in MODULES.glob("*.js"):
        text = path.read_text()
        assert base64.b64decode(names[f"regzoo/{path.stem}"].partition(",")[2]).decode() == text
        imported |= set(re.findall(r'from "([^"]+)"', text))
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert imported == set(names) - {"regzoo/page"}
    assert not re.search(r"url\(|@import|</", style())
