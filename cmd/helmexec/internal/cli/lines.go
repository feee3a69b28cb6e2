package cli

import (
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
	"github.com/sut-bench/helmexec/plan"
)

// changesOf shows differences, with their lines if full.
func changesOf(differences []plan.Difference, full, secrets bool) []view.Change {
	changes := []view.Change{}
	for _, d := range differences {
		c := view.Change{Object: view.ObjectOf(d.Object), Change: "changed"}
		switch {
		case d.Before == nil:
			c.Change = "added"
		case d.After == nil:
			c.Change = "dropped"
		}
		switch {
		case !full:
		case d.Object.Group == "" && d.Object.Kind == "Secret" && !secrets:
			c.Lines = []string{"  the content of a Secret is shown by --show-secrets"}
		default:
			c.Lines = diffLines(linesOf(string(d.Before)), linesOf(string(d.After)))
		}
		changes = append(changes, c)
	}
	return changes
}

func linesOf(text string) []string {
	if text = strings.TrimSuffix(text, "\n"); text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// around is how many equal lines are shown before and after those that differ.
const around = 3

// maxTable bounds the time and memory of a comparison: beyond it all lines between the first and the last difference differ.
const maxTable = 4 << 20

// diffLines compares texts by lines. Each line begins with "+", "-" or " ", and a space.
func diffLines(before, after []string) []string {
	start := 0
	for start < min(len(before), len(after)) && before[start] == after[start] {
		start++
	}
	end := 0
	for end < min(len(before), len(after))-start && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	var all []string
	add := func(sign string, lines []string) {
		for _, line := range lines {
			all = append(all, sign+" "+line)
		}
	}
	add(" ", before[:start])
	old, now := before[start:len(before)-end], after[start:len(after)-end]
	if len(old)*len(now) > maxTable {
		add("-", old)
		add("+", now)
	} else {
		all = append(all, longest(old, now)...)
	}
	add(" ", before[len(before)-end:])
	return folded(all)
}

// longest keeps the longest common sequence of lines.
func longest(old, now []string) []string {
	width := len(now) + 1
	common := make([]int32, (len(old)+1)*width) // of what is left of both
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if old[i] == now[j] {
				common[i*width+j] = common[(i+1)*width+j+1] + 1
			} else {
				common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
			}
		}
	}
	var all []string
	i, j := 0, 0
	for i < len(old) || j < len(now) {
		switch {
		case i < len(old) && j < len(now) && old[i] == now[j]:
			all = append(all, "  "+old[i])
			i, j = i+1, j+1
		case j == len(now) || i < len(old) && common[(i+1)*width+j] >= common[i*width+j+1]:
			all = append(all, "- "+old[i])
			i++
		default:
			all = append(all, "+ "+now[j])
			j++
		}
	}
	return all
}

// folded leaves out equal lines that are far from what differs.
func folded(lines []string) []string {
	near := make([]bool, len(lines))
	for i, line := range lines {
		if line[0] != ' ' {
			for k := max(0, i-around); k < min(len(lines), i+around+1); k++ {
				near[k] = true
			}
		}
	}
	var all []string
	for i, line := range lines {
		if near[i] {
			all = append(all, line)
		} else if i == 0 || near[i-1] {
			all = append(all, "  …")
		}
	}
	return slices.Clip(all)
}
