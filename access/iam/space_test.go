package iam

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const idVariable = "${" + IdentityKey + "}"

// naive matches straight from the meaning of the wildcards: a pattern is read as
// tokens, and a "*" tries everything.
func naive(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		for i := range text {
			if naive(pattern[1:], text[i:]) {
				return true
			}
		}
		return naive(pattern[1:], "")
	case text == "":
		return false
	case pattern[0] == '?':
		_, rest := cutRune(text)
		return naive(pattern[1:], rest)
	}
	p, pattern := cutRune(pattern)
	c, text := cutRune(text)
	return p == c && naive(pattern, text)
}

func cutRune(s string) (first, rest string) {
	for i := range s {
		if i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// add makes a space of patterns that are all right.
func add(tb testing.TB, s *Space, patterns ...string) *Space {
	tb.Helper()
	for _, p := range patterns {
		if err := s.Add(p); err != nil {
			tb.Fatalf("%q: %v", p, err)
		}
	}
	return s
}

func witnesses(tb testing.TB, s *Space) []Witness {
	tb.Helper()
	list, err := s.Witnesses()
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func TestWitnesses(t *testing.T) {
	for _, c := range []struct {
		space    Space
		patterns []string
		want     string
	}{
		{Space{}, nil, `"":`},
		{Space{}, []string{"a/*"}, `"": "a/":0`},
		{Space{NonEmpty: true}, []string{"*"}, `"x":0`},
		{Space{}, []string{"a/*", "a/"}, `"": "a/":0,1 "a/x":0`},
		{Space{}, []string{"a*", "*b"}, `"": "a":0 "b":1 "ab":0,1`},
		{Space{}, []string{"?", "??", "é"}, `"": "x":0 "xx":1 "é":0,2`},
		{Space{}, []string{"x*x"}, `"": "xx":0`},
		{Space{}, []string{"a${*}b", "a*b"}, `"": "ab":1 "a*b":0,1`},
		{Space{MaxLength: 3}, []string{"a", "abcd", "abc"}, `"": "a":0 "abc":2`},
		{Space{Prefix: "arn:b/"}, []string{"arn:b/a/*", "arn:*", "*", "arn:c/*", "arn:b"}, `"":1,2 "a/":0,1,2`},
		{Space{Prefix: "arn:b/", NonEmpty: true}, []string{"arn:b/*", "arn:?/x"}, `"x":0,1 "y":0`},
	} {
		var got []string
		for _, w := range witnesses(t, add(t, &c.space, c.patterns...)) {
			got = append(got, fmt.Sprintf("%q:%s", w.Text, strings.Trim(strings.ReplaceAll(fmt.Sprint(w.matched), " ", ","), "[]")))
		}
		// Texts of one length have no order that matters here.
		slices.Sort(got)
		want := strings.Fields(c.want)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %s, want %s", c.patterns, got, want)
		}
	}
}

// TestWitnessesOfOwners looks at the texts with an identity id in them. A pattern
// without the variable may see what is in the id.
func TestWitnessesOfOwners(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z0-9-]{1,18}:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	one := "us-east-1:01234567-89ab-cdef-0123-456789abcdef"
	s := add(t, new(Space),
		"p/"+idVariable+"/*", "p/us-*", "p/"+one+"/*", "p/shared/*", "p/"+strings.Repeat("?", 38)+"/y", "q/r/"+idVariable)
	seen := make(map[string]bool)
	for _, w := range witnesses(t, s) {
		if !valid.MatchString(w.Identity) {
			t.Errorf("%q is no identity id", w.Identity)
		}
		checkWitness(t, s, w)
		seen[fmt.Sprint(w.matched)] = true
	}
	for _, want := range []string{"[0]", "[0 1]", "[0 1 2]", "[0 4]", "[1]", "[1 2]", "[3]", "[4]", "[5]", "[]", "[1 4]", "[3 4]"} {
		if !seen[want] {
			t.Errorf("no witness that matches exactly %s", want)
		}
		delete(seen, want)
	}
	if len(seen) > 0 {
		t.Errorf("these can never match together: %v", seen)
	}
}

// checkWitness compares what a witness matches with the naive matcher.
func checkWitness(t *testing.T, s *Space, w Witness) {
	t.Helper()
	for p, n := range s.index {
		p = strings.ReplaceAll(p, idVariable, w.Identity)
		if want := naive(p, s.Prefix+w.Text); want != slices.Contains(w.matched, n) {
			t.Errorf("%q, with %s for the variable, matches %v, but %q: %v", w.Text, w.Identity, w.matched, p, want)
		}
	}
}

func TestPatternsOutsideOfSpaces(t *testing.T) {
	for text, want := range map[string]error{
		"*/" + idVariable:                    errLateVariable,
		"a?" + idVariable:                    errLateVariable,
		"a/" + idVariable + "/" + idVariable: errTwoVariables,
		"a/${aws:username}":                  errOtherVariable,
		"a/${" + IdentityKey + ",'x'}":       errOtherVariable,
		"a/${":                               errOtherVariable,
		"b/${aws:username}":                  nil, // no text matches it
	} {
		if err := (&Space{Prefix: "a"}).Add(text); err != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	// The same id cannot be told apart in two places one of which is in a text that
	// looks like an id.
	s := add(t, new(Space), "a/"+idVariable+"/*", "a/eu:00000000-0000-0000-0000-000000000000/"+idVariable)
	if _, err := s.Witnesses(); !errors.Is(err, ErrComplex) {
		t.Errorf("two places: %v", err)
	}
}

func TestTooManyCombinations(t *testing.T) {
	s := &Space{limit: 1000}
	for i := range 20 {
		add(t, s, fmt.Sprintf("*x%c*", 'a'+i))
	}
	if _, err := s.Witnesses(); !errors.Is(err, ErrComplex) {
		t.Errorf("error %v", err)
	}
}

// FuzzWitnesses compares the witnesses with all short texts: what these match,
// some witness matches, and it is not longer.
func FuzzWitnesses(f *testing.F) {
	f.Add("a*b,?a,b", uint64(1))
	f.Add("*a*,ab*,*?", uint64(2))
	f.Add("a/*,a/b/*,a/b", uint64(3))
	f.Add("*?a,a*a*a,???", uint64(4))
	f.Add("a/v/*,a/b*,a/?:0*/a", uint64(5))
	f.Add("v,a*,?-:*,*0,v/b", uint64(6))
	f.Fuzz(func(t *testing.T, list string, seed uint64) {
		const letters = "ab/*?,é:0-v"
		list = strings.Map(func(r rune) rune {
			if strings.ContainsRune(letters, r) {
				return r
			}
			return []rune(letters)[r%11]
		}, list)
		if len(list) > 30 {
			list = list[:30]
		}
		list = strings.ToValidUTF8(list, "")
		r := rand.New(rand.NewPCG(seed, 0))
		s := &Space{limit: 20000}
		if r.IntN(2) == 0 {
			s.Prefix = []string{"a", "b", "ab", "a/"}[r.IntN(4)]
		}
		for p := range strings.SplitSeq(list, ",") {
			// A pattern that is refused is not in the space.
			s.Add(strings.ReplaceAll(p, "v", idVariable))
		}
		found, err := s.Witnesses()
		if err != nil {
			return
		}
		lengths := make(map[string]int)
		for _, w := range found {
			checkWitness(t, s, w)
			if _, ok := lengths[fmt.Sprint(w.matched)]; ok {
				t.Errorf("two witnesses for %v", w.matched)
			}
			lengths[fmt.Sprint(w.matched)] = len(w.Text)
		}
		ids := []string{"a:00000000-0000-0000-0000-000000000000", "b-:0000000a-0000-0000-0000-00000000000b"}
		texts := []string{""}
		for i := 0; i < len(texts) && len(texts) < 500; i++ {
			for _, c := range append(ids, "a", "b", "/", "é", "x") {
				texts = append(texts, texts[i]+c)
			}
		}
		for _, text := range texts {
			for _, id := range ids {
				var matched []int
				for p, n := range s.index {
					if naive(strings.ReplaceAll(p, idVariable, id), s.Prefix+text) {
						matched = append(matched, n)
					}
				}
				slices.Sort(matched)
				set := fmt.Sprint(matched)
				// The ids of witnesses may be longer than these.
				slack := 17 * strings.Count(text, ":")
				if length, ok := lengths[set]; !ok || length > len(text)+slack {
					t.Fatalf("%q behind %q: %q of %s matches %v, of which there is no witness as short (%d)", list, s.Prefix, text, id, matched, length)
				}
			}
		}
	})
}

// FuzzMatch compares the matcher with the naive one.
func FuzzMatch(f *testing.F) {
	f.Add("*a*a*a*b", strings.Repeat("a", 20))
	f.Add("a?*é", "aéxé")
	f.Add("*??", "世")
	f.Add("*?\xff", "a\xffb\xff")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern)*len(text) > 400 || strings.Count(pattern, "*") > 5 {
			return
		}
		pattern = strings.ToValidUTF8(strings.ReplaceAll(pattern, "$", ""), "")
		p := parsePattern(pattern, true, true)
		if got, want := p.match(text, nil) == yes, naive(pattern, text); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, text, got, want)
		}
		q := parsePattern(p.String(), true, true)
		if q.match(text, nil) != p.match(text, nil) || q.String() != p.String() {
			t.Errorf("%q is written as %q and then as %q", pattern, p.String(), q.String())
		}
	})
}

// TestMatchIsNotExponential would not end if every "*" were tried everywhere.
func TestMatchIsNotExponential(t *testing.T) {
	p := parsePattern(strings.Repeat("*a", 500)+"*b", true, false)
	start := time.Now()
	if p.match(strings.Repeat("a", 5000), nil) != no {
		t.Error("there is no b")
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("it took %v", d)
	}
}

// tenants adds n patterns, a quarter of them with the variable.
func tenants(tb testing.TB, s *Space, n int) {
	for i := range n / 4 {
		base := fmt.Sprintf("tenants/t%05d/files/", i)
		add(tb, s, base+"private/"+idVariable+"/*", base+"shared/*", base+"shared/hidden/*", base+"public/*")
	}
}

// BenchmarkWitnesses goes through 10,000 patterns, with and without one that sees
// into all the others.
func BenchmarkWitnesses(b *testing.B) {
	for _, more := range []string{"", "*.exe"} {
		b.Run("more="+more, func(b *testing.B) {
			for b.Loop() {
				s := new(Space)
				tenants(b, s, 10000)
				add(b, s, more)
				if got := len(witnesses(b, s)); got < 10001 {
					b.Fatal(got)
				}
			}
		})
	}
}
