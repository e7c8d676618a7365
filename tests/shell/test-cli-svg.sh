#!/bin/bash
# SPDX-License-Identifier: MIT
# Pictures as SVG files: from run, from plan, from the daemon; and what a browser makes of them, where one is installed.
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"

script vm.pb 'vm create gpu' 'bo create atlas 4M' 'bo create ring 64K' 'bo create page 64K' \
	'map gpu 0x400000 4M atlas --readonly' 'map gpu 0x480000 64K page' 'map gpu 0x100000 64K ring' \
	'sparse reserve gpu 0x7f0000000000 4M' 'map gpu 0x7f0000100000 64K page'
status "run --svg" 0 "$PANBIND" -d sim: run --svg=run.svg vm.pb
ok "writes a picture" grep -q '^<svg xmlns="http://www.w3.org/2000/svg"' run.svg
like "with the VM's mappings" "$(cat run.svg)" '<title>0x480000 to 0x490000 \(64 KiB\)'
status "run --svg into nowhere" 1 "$PANBIND" -d sim: run --svg=no/such/folder/x.svg vm.pb
like "says so" "$(err)" 'no/such/folder/x.svg: the picture cannot be written'

script plan.pb 'begin' 'vm create gpu' 'bo create atlas 4M' 'map gpu 0x400000 4M atlas' 'commit' \
	'begin' 'unmap gpu 0x480000 64K' 'unmap gpu 0x7f0000 4K' 'commit'
status "plan --svg" 0 "$PANBIND" -d sim: plan --svg=plan.svg plan.pb
like "draws the VM after what fills it" "$(cat plan.svg)" 'after its first transaction'
like "and before what changes it" "$(cat plan.svg)" 'before the transaction at plan.pb:7'
like "with what is locked" "$(cat plan.svg)" '<title>locked by op 0: 0x400000 to 0x600000 \(2 MiB\)'

start_daemon
status "a script in the daemon" 0 "$PANBIND" run --comment='the first scene' vm.pb
status "vm show --svg" 0 "$PANBIND" vm show gpu --svg=vm.svg
like "draws what the daemon has" "$(cat vm.svg)" 'gpu</text>'
like "and tells who bound it" "$(cat vm.svg)" 'bound [0-9T:. -]+.* by uid [0-9]+, pid [0-9]+, entry [0-9]+: the first scene'
status "plan --svg on that" 0 "$PANBIND" plan --svg=there.svg - <<<'unmap gpu 0x480000 4K'
like "has its lock" "$(cat there.svg)" 'locked by op 0: 0x480000 to 0x488000'
status "vm show --svg of no VM" 1 "$PANBIND" vm show nothing --svg=x.svg
kill_daemon TERM

# ---- A browser draws it ----

browser=$(command -v chromium || command -v chromium-browser)
[ -n "$browser" ] || { skip "pixels in a browser" "chromium is not installed"; done_testing; exit; }

# page SVG...: a page that draws the pictures and says of each mapping whether its middle has the colour of its class. A
# line for each picture.
page() {
	local svg
	echo '<!DOCTYPE html><pre id="said">nothing</pre><script>const pictures = ['
	for svg; do
		echo "\"$(base64 -w0 "$svg")\","
	done
	cat <<-TEXT
	], all = [];
	const colours = ["0,114,178", "230,159,0", "0,158,115", "204,121,167", "86,180,233", "213,94,0", "240,228,66"];
	const look = (data, image) => {
		const said = [], doc = new DOMParser().parseFromString(atob(data), "image/svg+xml");
		const canvas = document.createElement("canvas");
		canvas.width = image.width; canvas.height = image.height;
		const pen = canvas.getContext("2d");
		pen.drawImage(image, 0, 0);
		const at = (x, y) => Array.from(pen.getImageData(x, y, 1, 1).data).slice(0, 3).join();
		said.push("errors=" + doc.getElementsByTagName("parsererror").length);
		let right = 0, wrong = 0, sparse = 0;
		for (const rect of doc.querySelectorAll("rect.m")) {
			const n = k => parseFloat(rect.getAttribute(k));
			if (n("width") < 4) continue;
			const x = Math.floor(n("x") + n("width") - 2), y = Math.floor(n("y") + n("height") / 2);
			if (rect.classList.contains("sp")) {
				const seen = new Set();
				for (let i = 0; i < 20; i++) seen.add(at(x - i, y));
				sparse += seen.size > 1;
			} else {
				const b = parseInt(rect.getAttribute("class").match(/b(\\d+)/)[1]);
				at(x, y) == colours[b] ? right++ : wrong++;
			}
		}
		said.push("right=" + right, "wrong=" + wrong, "hatched=" + sparse, "paper=" + at(5, 5));
		all.push(said.join(" "));
		if (all.length < pictures.length) draw(all.length);
		else document.getElementById("said").textContent = all.join(";");
	};
	const draw = i => {
		const image = new Image();
		image.onload = () => look(pictures[i], image);
		image.src = "data:image/svg+xml;base64," + pictures[i];
	};
	draw(0);
	</script>
	TEXT
}

# browse OPTION...: the browser without a window, one start of it.
browse() {
	timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --user-data-dir="$TMP/browser" "$@" 2>browser.err </dev/null
}

# drawn [OPTION...]: what page.html said, a line for each picture.
drawn() {
	browse --virtual-time-budget=20000 "$@" --dump-dom "file://$PWD/page.html" |
		sed -n 's/.*<pre id="said">\(.*\)<\/pre>.*/\1/p' | tr ';' '\n'
}

script many.pb 'vm create gpu' 'bo create a 512M' 'bo create b 512M' \
	'repeat 50000 i' 'map gpu $(i * 8K) 4K a+$((49999 - i) * 4K)' 'map gpu $(i * 8K + 4K) 4K b+$((49999 - i) * 4K)' 'end'
status "100,000 mappings" 0 "$PANBIND" -d sim: run --svg=many.svg many.pb
ok "make a small file" test "$(stat -c %s many.svg)" -lt 4000000
like "that says how many there are" "$(cat many.svg)" '100000 mappings of 2 BOs'
page run.svg many.svg >page.html
drawn >said
is "every mapping has its colour, sparse ranges are hatched, the paper is white" "$(sed -n 1p said)" \
	"errors=0 right=10 wrong=0 hatched=4 paper=255,255,255"
like "and they are drawn" "$(sed -n 2p said)" 'errors=0 right=[0-9]+ wrong=0 '
page run.svg >page.html
is "in the dark, too, on dark paper" "$(drawn --blink-settings=preferredColorScheme=0)" \
	"errors=0 right=10 wrong=0 hatched=4 paper=20,23,26"

# ---- And prints it ----
command -v pdftoppm >/dev/null || { skip "in print" "poppler-utils is not installed"; done_testing; exit; }
browse --blink-settings=preferredColorScheme=0 --no-pdf-header-footer --print-to-pdf="$PWD/run.pdf" "file://$PWD/run.svg" >/dev/null
pdftotext run.pdf text
ok "the left edge is on the paper" grep -q 0x7f0000000000 text
ok "and the right one" grep -q 0x7f0000400000 text
is "one page is enough" "$(pdfinfo run.pdf | sed -n 's/^Pages: *//p')" 1
pdftoppm -r 30 run.pdf sheet
is "the paper is white, whatever the screen" \
	"$(tail -c 90000 sheet-1.ppm | od -An -v -tx1 -w3 | sort | uniq -c | sort -rn | sed -n '1s/^ *[0-9]* *//p')" "ff ff ff"
is "what is written is dark on it, not light" "$(pdftoppm -r 60 -gray run.pdf grey; od -An -v -tu1 -w1 grey-1.pgm | sort -n | sed -n 1p | xargs)" 0

done_testing
