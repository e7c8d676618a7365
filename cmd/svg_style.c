/* SPDX-License-Identifier: MIT */
/*
 * What an SVG looks like: the palette of Okabe and Ito, which colour-blind readers can tell apart, then its tints; a
 * light, a dark and a printed form.
 */
#include "svg.h"

static const struct {
	const char *fill, *ink;
} palette[SVG_COLOURS] = {
	{"#0072b2", "#fff"}, {"#e69f00", "#111"}, {"#009e73", "#fff"}, {"#cc79a7", "#111"}, {"#56b4e9", "#111"},
	{"#d55e00", "#fff"}, {"#f0e442", "#111"}, {"#7fb8d8", "#111"}, {"#f2cf7f", "#111"}, {"#7fceb9", "#111"},
	{"#e5bcd3", "#111"}, {"#aad9f4", "#111"}, {"#eaae7f", "#111"}, {"#f7f1a0", "#111"},
};

static const char sheet[] =
	"svg{--bg:#fff;--ink:#1b1f24;--dim:#5b6570;--line:#c5ccd3;--hole:#f3f5f7;--sparse:#9aa4ae;--lock:#b3261e}\n"
	"@media (prefers-color-scheme:dark){svg{--bg:#14171a;--ink:#e8ebee;--dim:#9aa5b0;--line:#3c444c;"
	"--hole:#1d2226;--sparse:#6f7a85;--lock:#ff8a80}}\n"
	"@page{margin:10mm}\n" /* as wide as the paper: what is cut off there is lost */
	"@media print{svg{width:100%;height:auto;--bg:#fff;--ink:#000;--dim:#333;--line:#999;"
	"--hole:#fff;--sparse:#777;--lock:#000}}\n"
	"text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:11px;fill:var(--ink)}\n"
	".t{font-size:19px;font-weight:600}.s,.k{fill:var(--dim)}.h{font-size:13px;font-weight:600}\n"
	".k{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:10px}\n"
	".bg{fill:var(--bg)}.hole{fill:var(--hole);stroke:var(--line);stroke-width:1}\n"
	".tick,.fold{stroke:var(--line);stroke-width:1;fill:none}.fold{stroke:var(--dim)}\n"
	".lock{fill:var(--lock);fill-opacity:.13;stroke:var(--lock);stroke-width:1.5;stroke-dasharray:5 3}\n"
	".sp{fill:url(#sparse)}.hs{stroke:var(--sparse);stroke-width:2}.hb{fill:var(--hole)}\n"
	".m{stroke:var(--bg);stroke-width:.6}.many{fill-opacity:.75}\n"
	".m:hover,.lock:hover{stroke:var(--ink);stroke-width:2}.l{pointer-events:none;font-size:10px}\n";

void svg_style(FILE *stream)
{
	fprintf(stream, "<style>\n%s", sheet);
	for (unsigned int i = 0; i < SVG_COLOURS; i++)
		fprintf(stream, ".b%u{fill:%s}.i%u{fill:%s}", i, palette[i].fill, i, palette[i].ink);
	fprintf(stream, "\n</style>\n<defs><pattern id=\"sparse\" width=\"6\" height=\"6\" "
			"patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect class=\"hb\" "
			"width=\"6\" height=\"6\"/><path class=\"hs\" d=\"M0 0V6\"/></pattern></defs>\n");
}

/* Control characters have no place in XML; bytes that are not ASCII pass, since names are UTF-8. */
void svg_text(FILE *stream, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", stream);
			break;
		case '>':
			fputs("&gt;", stream);
			break;
		case '&':
			fputs("&amp;", stream);
			break;
		case '"':
			fputs("&quot;", stream);
			break;
		default:
			fputc((unsigned char)*text < ' ' && *text != '\n' ? '?' : *text, stream);
		}
	}
}
