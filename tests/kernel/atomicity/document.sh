# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# kernel/ATOMICITY.md from the rows that the program `atomicity` writes, and back.

# document_rows COLUMN DOCUMENT: the rows of a column, "stock" or "atomic", as the program writes them (without "what").
document_rows() {
	awk -v column="$1" '
		function trim(text) { gsub(/^ +| +$/, "", text); return text }
		/^## /  { summary = /^## Summary/ }
		/^### / { name = substr($0, 5) }
		!/^\|/  { next }
		{
			split($0, cell, "|")
			first = trim(cell[2])
			if (trim(cell[3]) == "stock" || first ~ /^-+$/)
				next
			value = trim(cell[column == "stock" ? 3 : 4])
			print (summary ? first : name) "\t" (summary ? "summary" : first) "\t" value
		}' "$2"
}

# compared_rows ROWS: what of the rows is in the columns, in the order of the document.
compared_rows() {
	awk -F '\t' '$2 == "summary"' "$1"
	awk -F '\t' '$2 != "summary" && $2 != "what"' "$1"
}

# document_tables STOCK ATOMIC: the generated part, from two files of rows.
document_tables() {
	awk -F '\t' '
		function line(a, b, c) { printf "| %-*s | %-*s | %-*s |\n", width[1], a, width[2], b, width[3], c }
		function rule(i, text) { text = ""; while (i-- > 0) text = text "-"; return text }
		function fit(column, text) { if (length(text) > width[column]) width[column] = length(text) }
		function table(head, from, to,    i) {
			width[1] = length(head); width[2] = length("stock"); width[3] = length("atomic")
			for (i = from; i < to; i++) { fit(1, label[i]); fit(2, left[i]); fit(3, right[i]) }
			line(head, "stock", "atomic")
			line(rule(width[1]), rule(width[2]), rule(width[3]))
			for (i = from; i < to; i++)
				line(label[i], left[i], right[i])
		}
		NR == FNR { stock[$1, $2] = $3; next }
		$2 == "what" { name[++names] = $1; what[names] = $3; next }
		$2 == "summary" { summary[names] = $3; next }
		{ count[names]++; row[names, count[names]] = $2; cell[names, count[names]] = $3 }
		END {
			print "## Summary\n"
			for (i = 1; i <= names; i++) {
				label[i] = name[i]; left[i] = stock[name[i], "summary"]; right[i] = summary[i]
			}
			table("remap", 1, names + 1)
			print "\n## Remap by remap"
			for (i = 1; i <= names; i++) {
				printf "\n### %s\n\n%s\n\n", name[i], what[i]
				for (j = 1; j <= count[i]; j++) {
					label[j] = row[i, j]; left[j] = stock[name[i], row[i, j]]; right[j] = cell[i, j]
				}
				table("", 1, count[i] + 1)
			}
		}' "$1" "$2"
}

# document_update DOCUMENT STOCK ATOMIC: write the generated part anew; what a person wrote above it stays.
document_update() {
	local new
	new=$(mktemp)
	sed '/^## Summary/,$d' "$1" >"$new"
	document_tables "$2" "$3" >>"$new"
	cat "$new" >"$1"
	rm "$new"
}
