package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cubby-storage/cubby/store/memstore"
)

// id returns the id of the request that was answered.
func (r *response) id() string { return r.header.Get("X-Amz-Request-Id") }

// why asks the server as p why a request was denied.
func (w *world) why(p *person, id string) *response {
	w.Helper()
	return w.as(p, "GET", wellKnown+whyDocuments+id, "")
}

// denials reads the answer to an operator.
func (r *response) denials() (d Denials) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.is(200).body), &d); err != nil {
		r.t.Fatal(err)
	}
	return d
}

func TestWhyIsToldToOperators(t *testing.T) {
	log := newLogbook(t)
	w := newWorld(t, &setup{opts: Options{Log: log.logger()}})
	alice, bob, guest := w.user("alice"), w.user("bob"), w.guest()

	r := w.as(alice, "GET", "/media/admin/plan?x-id=GetObject&secret=7", "").is(403, "AccessDenied")
	d := w.why(w.operator, r.id()).denials()
	if len(d.Denials) != 1 || d.RequestID != r.id() || d.Omitted != 0 {
		t.Fatalf("got %+v", d)
	}
	n := d.Denials[0]
	if time.Since(n.Time).Abs() > time.Minute {
		t.Errorf("it was at %v", n.Time)
	}
	const rule = "admin/*  group:admin get,list,write,delete"
	if text := "get on \"admin/plan\" is denied\nthe nearest rule that gives what is missing is `" + rule + "` (cubby.yaml:17)"; !strings.HasPrefix(n.Explanation, text) {
		t.Errorf("the explanation is %s", n.Explanation)
	}
	n.Time, n.Explanation = time.Time{}, ""
	want := Denial{
		Bucket: "media", Key: "admin/plan", Action: "get", Identity: alice.id, Username: "alice", Role: "authenticated", Nearest: rule + " (cubby.yaml:17)",
	}
	if fmt.Sprint(n) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", n, want)
	}
	line := log.next("msg=denied")
	for _, text := range []string{
		"level=INFO", "request=" + r.id(), "action=get", "bucket=media", "key=admin/plan", "user=alice", "role=authenticated",
		`nearest="` + rule + ` (cubby.yaml:17)"`, "is denied; the nearest rule",
	} {
		if !strings.Contains(line, text) {
			t.Errorf("the log lacks %s: %s", text, line)
		}
	}
	for _, secret := range []string{"secret=7", "x-id", alice.keys.SecretAccessKey, alice.keys.SessionToken, alice.keys.AccessKeyID} {
		if strings.Contains(line, secret) {
			t.Errorf("the log has %s", secret)
		}
	}

	// Members of groups are shown with them, and an answer to HEAD has a reason too.
	r = w.as(bob, "HEAD", "/media/nowhere/x", "").is(403)
	if d := w.why(w.operator, r.id()).denials(); d.Denials[0].Username != "bob" || strings.Join(d.Denials[0].Groups, "") != "admin" || d.Denials[0].Nearest != "" {
		t.Errorf("got %+v", d)
	}
	// What only operators may do has no rule.
	r = w.as(bob, "PUT", "/newbucket", "").is(403)
	if d := w.why(w.operator, r.id()).denials(); d.Denials[0].Action != "" || d.Denials[0].Explanation != "only operators may do that to a bucket" {
		t.Errorf("got %+v", d)
	}
	// Nor has a function a name besides its own.
	r = w.as(w.function("resize"), "GET", "/media/admin/plan", "").is(403)
	if d := w.why(w.operator, r.id()).denials().Denials[0]; d.Role != "function:resize" || d.Identity+d.Username != "" {
		t.Errorf("got %+v", d)
	}
	// The id of a guest is a secret, wherever it stands.
	r = w.as(guest, "PUT", "/media/private/"+guest.id+"/x", "hello").is(403)
	answer := w.why(w.operator, r.id())
	if d := answer.denials().Denials[0]; d.Role != "guest" || d.Identity == "" || d.Key != "private/"+d.Identity+"/x" {
		t.Errorf("got %+v", d)
	}
	if all := answer.body + log.rest(); strings.Contains(all, guest.id) || !strings.Contains(all, short(guest.id)) {
		t.Errorf("the id of a guest is told: %s", all)
	}
	// What was allowed, and what was refused before the rules were asked, is not kept.
	for _, id := range []string{w.as(alice, "GET", "/media/public/none", "").is(404).id(), w.as(nil, "GET", "/media/public/none", "").is(403).id(), "", "x/y"} {
		w.why(w.operator, id).is(404, "NoSuchKey")
	}

	// Nobody but operators learns anything, not even what ids there are.
	for _, p := range []*person{alice, bob, guest, nil} {
		var bodies []string
		for _, id := range []string{r.id(), "0000000000000000", "", "a/b/c"} {
			bodies = append(bodies, w.why(p, id).is(403, "AccessDenied").body)
		}
		bodies = append(bodies, w.as(p, "GET", wellKnown+rulesDocument, "").is(403, "AccessDenied").body)
		for _, b := range bodies {
			if b != bodies[0] {
				t.Errorf("answers differ: %q", bodies)
			}
		}
	}
	forged := *w.operator
	forged.keys.SecretAccessKey = "guess"
	w.why(&forged, r.id()).is(403, "SignatureDoesNotMatch")
	w.as(w.operator, "POST", wellKnown+whyDocuments+r.id(), "").is(405)
	if h := w.why(w.operator, r.id()).header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
		t.Errorf("the header is %v", h)
	}

	var status RulesStatus
	if err := json.Unmarshal([]byte(w.as(w.operator, "GET", wellKnown+rulesDocument, "").is(200).body), &status); err != nil || status.Version != w.srv.Rules().Version || status.Rules != 11 {
		t.Errorf("the rules are %+v, %v", status, err)
	}
}

// TestGuestsAreNotToldOfInFull, whoever asks and however their id is written.
func TestGuestsAreNotToldOfInFull(t *testing.T) {
	log := newLogbook(t)
	w := newWorld(t, &setup{opts: Options{Log: log.logger()}})
	alice, bob, guest := w.user("alice"), w.user("bob"), w.guest()
	_, secret, _ := strings.Cut(guest.id, ":")
	seen := ""
	for _, who := range []*person{alice, guest, w.function("resize")} {
		for _, id := range []string{
			guest.id, secret, strings.ToUpper(guest.id), strings.Replace(guest.id, ":", "%253A", 1), strings.Replace(guest.id, ":", "%25253a", 1),
			"x" + guest.id + "y", strings.ReplaceAll(secret, "-", "%252D"), bob.id,
		} {
			for _, uri := range []string{"/media/private/" + id + "/x", "/media?list-type=2&prefix=private/" + id + "/", "/" + secret + "/x"} {
				r := w.as(who, "GET", uri, "").is(403)
				d := w.why(w.operator, r.id())
				if n := d.denials().Denials; len(n) == 0 || !strings.Contains(n[0].Key+n[0].Bucket, "…") && who != guest {
					t.Errorf("%s: got %+v", uri, n)
				}
				seen += d.body
			}
		}
	}
	r := w.as(alice, "GET", "/media/admin/"+alice.id, "").is(403)
	if d := w.why(w.operator, r.id()).denials().Denials[0]; d.Key != "admin/"+alice.id || !strings.Contains(d.Explanation, alice.id) {
		t.Errorf("her own id is cut short: %+v", d)
	}
	seen = strings.ToLower(seen + log.rest())
	_, bobs, _ := strings.Cut(bob.id, ":")
	for _, id := range []string{secret, secret[9:], bobs} {
		if strings.Contains(seen, id) {
			t.Errorf("%s is told", id)
		}
	}
}

// TestWhyOfManyKeys keeps all of one request, within bounds.
func TestWhyOfManyKeys(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user("alice")
	remove := func(n int) *response {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "<Object><Key>admin/%03d</Key></Object>", i)
		}
		return w.as(alice, "POST", "/media?delete", "<Delete>"+b.String()+"</Delete>", "X-Amz-Content-Sha256: "+hashOf("<Delete>"+b.String()+"</Delete>")).is(200)
	}
	d := w.why(w.operator, remove(3).id()).denials()
	if len(d.Denials) != 3 || d.Denials[0].Key != "admin/000" || d.Denials[2].Key != "admin/002" || d.Omitted != 0 {
		t.Errorf("got %+v", d)
	}
	d = w.why(w.operator, remove(100).id()).denials()
	if len(d.Denials) != perRequest || d.Omitted != 100-perRequest {
		t.Errorf("got %d, and %d omitted", len(d.Denials), d.Omitted)
	}
}

// TestWhatIsKeptIsBounded in number and in size.
func TestWhatIsKeptIsBounded(t *testing.T) {
	d := newDenials(slog.New(slog.DiscardHandler))
	now := time.Now()
	deny := func(request, role, id string) {
		d.add(t.Context(), request, Denial{Time: now, Role: role, Identity: id, Key: request})
	}
	check := func(all, guests int) {
		t.Helper()
		if d.everybody.Len() != all || d.guests.Len() != guests {
			t.Errorf("%d denials are kept, %d of guests, want %d and %d", d.everybody.Len(), d.guests.Len(), all, guests)
		}
		kept := 0
		for name, own := range d.identities {
			if own.Len() == 0 || own.Len() > denialsKept/identityPart {
				t.Errorf("%d are kept of %s", own.Len(), name)
			}
			kept += own.Len()
		}
		requests := 0
		for _, r := range d.requests {
			requests += r.kept
		}
		if kept != all || requests != all {
			t.Errorf("%d are kept of identities, %d of requests, want %d", kept, requests, all)
		}
	}
	deny("first", "authenticated", "alice")
	for i := range 3 * denialsKept { // one user
		deny(fmt.Sprint("mallory", i/2), "authenticated", "mallory")
	}
	check(1+denialsKept/4, 0)
	for i := range 3 * denialsKept { // one guest, then many
		deny(fmt.Sprint("guest", i), "guest", "guest")
	}
	check(1+denialsKept/2, denialsKept/4)
	for i := range 3 * denialsKept {
		deny(fmt.Sprint("guests", i), "guest", fmt.Sprint(i))
	}
	check(1+denialsKept/4+denialsKept/2, denialsKept/2)
	if d.of("first") == nil || d.of("guest0") != nil || d.of(fmt.Sprint("guests", 3*denialsKept-1)) == nil {
		t.Error("others have crowded out the first, or nothing new is kept")
	}
	for i := range 3 * denialsKept { // many users
		deny(fmt.Sprint("user", i), "authenticated", fmt.Sprint(i))
	}
	check(denialsKept, 0)
	deny("two", "authenticated", "bob")
	deny("two", "authenticated", "bob")
	for i := range denialsKept - 1 {
		deny(fmt.Sprint("late", i), "authenticated", fmt.Sprint(i))
	}
	if got := d.of("two"); got == nil || len(got.Denials) != 1 || got.Omitted != 1 {
		t.Errorf("got %+v", got)
	}

	w := newWorld(t, nil)
	alice := w.user("alice")
	r := w.as(alice, "GET", "/media/"+strings.Repeat("%07", 1000), "").is(403)
	n := w.why(w.operator, r.id()).denials().Denials[0]
	if len(n.Key) > keptText+3 || len(n.Explanation) > keptText+3 {
		t.Errorf("%d and %d bytes are kept", len(n.Key), len(n.Explanation))
	}
}

// TestFloodOfDenials is not one of log lines, but its size is told.
func TestFloodOfDenials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLogbook(t)
		d := newDenials(log.logger())
		flood := func(n int) {
			for range n {
				for _, id := range []string{"alice", "bob", "carol", "dave"} {
					d.add(t.Context(), id, Denial{Time: time.Now(), Role: "authenticated", Identity: id})
				}
			}
		}
		// Nobody takes the lines of all others.
		for i := range 100 {
			d.add(t.Context(), "y", Denial{Time: time.Now(), Role: "guest", Identity: "one"})
			d.add(t.Context(), "y", Denial{Time: time.Now(), Role: "guest", Identity: fmt.Sprint(i)})
		}
		if n := strings.Count(log.rest(), "msg=denied"); n != logPerSecond/2 {
			t.Errorf("%d lines of guests", n)
		}
		d.add(t.Context(), "y", Denial{Time: time.Now(), Role: "authenticated", Identity: "alice"})
		if text := log.rest(); !strings.Contains(text, "identity=alice") {
			t.Errorf("guests have silenced alice: %s", text)
		}
		d.tellSkipped()
		log.rest()
		time.Sleep(time.Second)
		const most = logPerSecond / 4
		flood(most + 7)
		if n := strings.Count(log.rest(), "msg=denied"); n != 4*most {
			t.Errorf("%d lines in a second", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if text := log.rest(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "left_out=28") {
			t.Errorf("it says %s", text)
		}
		flood(most + 3)
		d.tellSkipped() // as Close does
		if text := log.rest(); strings.Count(text, "msg=denied") != 4*most || !strings.Contains(text, "left_out=12") {
			t.Errorf("it says %s", text)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if text := log.rest(); text != "" {
			t.Errorf("nothing happened, but it says %s", text)
		}
	})
}

// TestReasonIsForThoseWhoMayKnow: the XML of a refusal has it for nobody but the
// users and guests of dev mode.
func TestReasonIsForThoseWhoMayKnow(t *testing.T) {
	const reason = "CubbyReason"
	for _, dev := range []bool{false, true} {
		w := newWorld(t, &setup{opts: Options{Dev: dev}})
		if _, err := w.srv.AddUser(t.Context(), NewUser{Name: "devon", Password: password, Dev: true}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			who  *person
			told bool
		}{
			{w.user("devon"), dev},
			{w.guest(), dev},
			{w.user("alice"), false}, // whom dev mode did not make
			{w.user("bob"), false},
			{w.function("resize"), false},
			{nil, false},
		} {
			for _, uri := range []string{"/media/closed/x", "/media?list-type=2&prefix=closed/", "/nowhere/x"} {
				r := w.as(c.who, "GET", uri, "").is(403, "AccessDenied")
				text := r.element(reason)
				if !c.told && strings.Contains(r.body, "Cubby") || c.told && !strings.Contains(text, "is denied; no single rule") && !strings.Contains(text, "have no bucket") {
					t.Errorf("dev %v, %s: %s", dev, r.what, r.body)
				}
			}
		}
		if r := w.as(w.user("devon"), "GET", "/media/admin/x", ""); dev && !strings.Contains(r.element(reason), "group:admin") {
			t.Errorf("got %s", r.body)
		}
		// The users of dev mode may ask why, too, there.
		denied := w.as(w.user("alice"), "GET", "/media/closed/x", "").id()
		status := map[bool]int{false: 403, true: 200}[dev]
		w.why(w.user("devon"), denied).is(status)
		w.as(w.user("devon"), "GET", wellKnown+rulesDocument, "").is(status)
		w.why(w.guest(), denied).is(403, "AccessDenied")
		w.why(w.user("alice"), denied).is(403, "AccessDenied")
	}
}

// TestDevUsersOfAnotherIssuer are none: their ids are not those of our pool.
func TestDevUsersOfAnotherIssuer(t *testing.T) {
	w := newWorld(t, &setup{opts: Options{Dev: true}, change: func(c *Config) {
		c.Issuers = []Issuer{{Name: "corp", URL: "https://id.example.com", Audiences: []string{"app"}}}
		c.Primary = "corp"
	}})
	if _, err := w.srv.AddUser(t.Context(), NewUser{Name: "devon", Password: password, Dev: true}); err != nil {
		t.Fatal(err)
	}
	if r := w.as(w.user("devon"), "GET", "/media/closed/x", "").is(403); strings.Contains(r.body, "Cubby") {
		t.Errorf("got %s", r.body)
	}
}

// TestWhyWhileRequestsAreDenied is for the race detector.
func TestWhyWhileRequestsAreDenied(t *testing.T) {
	d := newDenials(slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 3000 {
				id := fmt.Sprint(g, i)
				d.add(context.Background(), id, Denial{Time: time.Now()})
				// The others may have crowded it out by now.
				if i%100 != 0 {
					continue
				}
				if all := d.of(id); all != nil && all.RequestID != id {
					t.Errorf("got the denials of %s, want %s", all.RequestID, id)
				}
			}
		})
	}
	wg.Wait()
}

func TestReasonOfALimit(t *testing.T) {
	w := newWorld(t, &setup{config: "buckets:\n  - name: media\n    rules:\n      in/*:\n        authenticated: {actions: [write], maxSize: 3}\n", opts: Options{Store: memstore.New()}})
	r := w.as(w.user("alice"), "PUT", "/media/in/x", "four")
	if r.status == 200 {
		t.Fatalf("got %d", r.status)
	}
	n := w.why(w.operator, r.id()).denials().Denials[0]
	if n.Rule != "in/*  authenticated write maxSize=3B (cubby.yaml:5)" && n.Rule != "in/*  authenticated write maxSize=3 (cubby.yaml:5)" ||
		!strings.Contains(n.Explanation, "but at most 3 bytes may be written") {
		t.Errorf("got %+v", n)
	}
}
