package main

import (
	"fmt"
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bar shows how far a transfer is, where somebody watches. A nil bar shows nothing.
type bar struct {
	p *mpb.Progress
	b *mpb.Bar
}

// progress returns a bar for a transfer of total bytes, or of an unknown number if
// it is below 0. It shows only on a terminal.
func (a *app) progress(name string, total int64) *bar {
	if _, ok := terminal(a.stderr); !ok || a.json || a.quiet {
		return nil
	}
	return newBar(a.stderr, name, total)
}

func newBar(w io.Writer, name string, total int64, opts ...mpb.ContainerOption) *bar {
	p := mpb.New(append(opts, mpb.WithOutput(w), mpb.WithWidth(40))...)
	return &bar{p, p.AddBar(max(total, 0),
		mpb.PrependDecorators(decor.Name(shorten(printable(name), 24)+"  "), decor.Any(func(s decor.Statistics) string {
			if s.Total <= 0 {
				return size(s.Current) + "  "
			}
			return size(s.Current) + " / " + size(s.Total) + "  "
		})),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), " % .1f"), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)),
		mpb.BarRemoveOnComplete(),
	)}
}

// set is called as the transfer goes on.
func (b *bar) set(done, total int64) {
	if b == nil {
		return
	}
	if total > 0 {
		b.b.SetTotal(total, false)
	}
	b.b.SetCurrent(done)
}

// end takes the bar away. What is printed afterwards has the line for itself.
func (b *bar) end() {
	if b == nil {
		return
	}
	b.b.Abort(true)
	b.p.Wait()
}

// size returns a number of bytes as people read it.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n)/1024, 0
	for ; f >= 1024 && u < len(units)-1; u++ {
		f /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", f, units[u])
}

// shorten returns s, or as much of it as there is room for.
func shorten(s string, room int) string {
	if r := []rune(s); len(r) > room {
		return string(r[:room-1]) + "…"
	}
	return s
}
