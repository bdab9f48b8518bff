package main

import "testing"

func TestParseRemote(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want remote
	}{
		{"private:a.txt", remote{"", "private", "a.txt"}},
		{"public:", remote{"", "public", ""}},
		{"guest:a:b", remote{"", "guest", "a:b"}},
		{"private:{id}", remote{"", "private", "{id}"}},
		{"public/a.txt", remote{"", "", "public/a.txt"}},
		{"public/12:30", remote{"", "", "public/12:30"}},
		{"Private:a", remote{"", "", "Private:a"}},
		{"media//private:a//b", remote{"media", "private", "a//b"}},
		{"media//", remote{"media", "", ""}},
		{"a/b//c", remote{"", "", "a/b//c"}},
		{"private:a//b", remote{"", "private", "a//b"}},
	} {
		if got, err := parseRemote(tt.in); got != tt.want || err != nil {
			t.Errorf("%q is %+v, %v, want %+v", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", "/", "/public/a", "private:/a", "media///a", "media//private:/a"} {
		if got, err := parseRemote(in); err == nil {
			t.Errorf("%q is %+v, want an error", in, got)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 3 << 60: "3.0 EiB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Übung 日本": "Übung 日本", "a\x1b[31mred": "a?[31mred", "two\nlines": "two?lines", "\u009b1m": "?1m",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
