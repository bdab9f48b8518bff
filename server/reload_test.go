package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store/memstore"
)

// logbook is a log that tests read as it is written.
type logbook struct {
	t     *testing.T
	lines chan string
}

func newLogbook(t *testing.T) *logbook { return &logbook{t, make(chan string, 10_000)} }

func (l *logbook) Write(p []byte) (int, error) {
	l.lines <- string(p)
	return len(p), nil
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// next waits for a line that holds text, and returns it.
func (l *logbook) next(text string) string {
	l.t.Helper()
	var seen []string
	for {
		select {
		case line := <-l.lines:
			if strings.Contains(line, text) {
				return line
			}
			seen = append(seen, line)
		case <-time.After(20 * time.Second):
			l.t.Fatalf("the log has no line with %q:\n%s", text, strings.Join(seen, ""))
		}
	}
}

// rest returns what was logged and not read yet.
func (l *logbook) rest() string {
	var b strings.Builder
	for {
		select {
		case line := <-l.lines:
			b.WriteString(line)
		default:
			return b.String()
		}
	}
}

const (
	taken   = "the rules have changed"
	asWere  = "are as they were"
	refused = "were not taken over"
)

// watched is a world whose server watches its settings.
func watched(t *testing.T, config string, poll time.Duration) (*world, *logbook) {
	t.Helper()
	log := newLogbook(t)
	w := newWorld(t, &setup{file: true, config: config, opts: Options{Log: log.logger(), Poll: poll}})
	return w, log
}

// edit replaces a file in the data directory at once, as most editors do.
func (w *world) edit(name, text string) {
	w.Helper()
	writeData(w.T, w.srv.cfg.Data, "next", text)
	if err := os.Rename(filepath.Join(w.srv.cfg.Data, "next"), filepath.Join(w.srv.cfg.Data, name)); err != nil {
		w.Fatal(err)
	}
}

// shelf is settings in which users may do these things below shelf/.
func shelf(actions string) string {
	return "buckets:\n  - name: media\n    rules:\n      shelf/*:\n        authenticated: [" + actions + "]\n"
}

const quick = 5 * time.Millisecond

func TestRulesChangeWhileTheServerRuns(t *testing.T) {
	w, log := watched(t, shelf("get"), quick)
	alice := w.user("alice")
	if err := w.srv.WriteOutputs(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	before := w.srv.Rules()
	w.as(alice, "PUT", "/media/shelf/a", "a").is(403, "AccessDenied")

	w.edit(ConfigFile, shelf("get, write")+"  - name: extra\n    rules:\n      x/*:\n        guest: [read]\n")
	log.next(taken)
	for _, want := range []string{
		"bucket=extra change=\"+ guest may now get,list x/*, by `x/*  guest get,list` (cubby.yaml:9)",
		"bucket=media change=\"+ authenticated may now write shelf/*, by `shelf/*  authenticated get,write` (cubby.yaml:5)",
	} {
		if line := log.next("msg=rules"); !strings.Contains(line, want) {
			t.Errorf("it says %s, want %s", line, want)
		}
	}
	w.as(alice, "PUT", "/media/shelf/a", "a").is(200)
	w.as(w.guest(), "GET", "/extra?list-type=2", "").is(200)
	now := w.srv.Rules()
	if now.Version == before.Version || now.Since.Before(before.Since) || now.Rules != 2 || now.Refused != nil {
		t.Errorf("the rules were %+v and are %+v", before, now)
	}
	for _, text := range []string{
		w.do(w.request("GET", wellKnown+outputsFile, "")).is(200).body,
		string(must(os.ReadFile(filepath.Join(w.srv.cfg.Data, outputsFile)))),
	} {
		if !strings.Contains(text, `"extra"`) {
			t.Errorf("clients are not told of the new bucket: %s", text)
		}
	}
	if d := w.asked(); !slices.ContainsFunc(d, func(d Decision) bool {
		return d.Allowed && strings.Contains(d.Reason, "shelf/*  authenticated get,write")
	}) {
		t.Errorf("the reasons are not those of the new rules: %+v", d)
	}

	// The file itself can be written to as well.
	writeData(t, w.srv.cfg.Data, ConfigFile, shelf("write"))
	log.next(taken)
	log.next("a bucket is not in the settings any more")
	w.as(alice, "GET", "/media/shelf/a", "").is(403)
	w.as(w.guest(), "GET", "/extra?list-type=2", "").is(403)
	w.as(w.operator, "GET", "/extra?list-type=2", "").is(200)

	// A comment changes nothing.
	w.edit(ConfigFile, "# hello\n"+shelf("write"))
	log.next(asWere)
	if v := w.srv.Rules(); v.Rules != 1 {
		t.Errorf("the rules are %+v", v)
	}

	// Neither size nor time of the file need change.
	name := filepath.Join(w.srv.cfg.Data, ConfigFile)
	info := must(os.Stat(name))
	writeData(t, w.srv.cfg.Data, ConfigFile, "# hallo\n"+shelf("write"))
	if err := os.Chtimes(name, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	log.next(asWere)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestWrongRulesAreRefused(t *testing.T) {
	good := shelf("get")
	w, log := watched(t, good, quick)
	alice := w.user("alice")
	w.put("media", "shelf/a", "a")
	version := w.srv.Rules().Version
	name := func(file string) string { return filepath.Join(w.srv.cfg.Data, file) }
	for _, c := range []struct{ what, settings, tests, want string }{
		{"empty", "", "", "cubby.yaml is empty"},
		{"blank", " \n\n", "", "cubby.yaml is empty"},
		{"only a comment", "# rules\n", "", "name at least one"},
		{"half of a line", good[:len(good)-12], "", "cubby.yaml:"},
		{"half of a file", "buckets:\n  - na", "", "cubby.yaml:2: "},
		{"not text", "\x00\x01", "", "cubby.yaml"},
		{"unknown setting", good + "colour: red\n", "", "unknown setting colour"},
		{"wrong rule", shelf("fly"), "", `unknown action "fly"`},
		{"wrong mode", good + "groups: some\n", "", "groups:"},
		{"wrong restart setting", good + "region: 'A B'\n", "", "region:"},
		{"keys in the data", good + "keys: keys.json\n", "", "the next start would fail: keys:"},
		{"issuer without audience", good + "issuers: [{name: x, url: 'https://x.example'}]\n", "", "the next start would fail: issuers:"},
		{"issuer twice", good + "issuers: [{name: x, url: 'https://x.example', audiences: [a]}, {name: x, url: 'https://y.example', audiences: [a]}]\n", "", "x is there twice"},
		{"issuer name", good + "issuers: [{name: 'x y', url: 'https://x.example', audiences: [a]}]\n", "", `the name "x y"`},
		{"HTTPS without certificate", good + "listen_tls: ':443'\n", "", "HTTPS needs tls_cert and tls_key"},
		{"address without port", good + "listen: localhost\n", "", "listen:"},
		{"port that is none", good + "listen: localhost:99999\n", "", "listen:"},
		{"HTTPS address", good + "listen_tls: 'x y:443'\ntls_cert: c\ntls_key: k\n", "", "listen_tls:"},
		{"failing test", good, "as alice get shelf/a -> deny\n", "rules.test:1"},
		{"no test", good, "what is this\n", "rules.test:1"},
	} {
		w.edit(ConfigFile, c.settings)
		if c.tests != "" {
			w.edit(TestsFile, c.tests)
		}
		for line := ""; !strings.Contains(line, strings.ReplaceAll(c.want, `"`, `\"`)); {
			line = log.next(refused) // the one before may be of the settings without the tests
		}
		w.as(alice, "GET", "/media/shelf/a", "").is(200)
		s := w.srv.Rules()
		if s.Version != version || s.Refused == nil || !strings.Contains(s.Refused.Error, c.want) {
			t.Errorf("%s: the rules are %+v", c.what, s)
		}
		if err := w.srv.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v", c.what, err)
		}
		w.edit(ConfigFile, good)
		_ = os.Remove(name(TestsFile))
		log.next(asWere)
		if s := w.srv.Rules(); s.Refused != nil {
			t.Errorf("%s: all is well again, but the status is %+v", c.what, s)
		}
	}

	// A file that is gone takes nothing away, and that is said once.
	if err := os.Remove(name(ConfigFile)); err != nil {
		t.Fatal(err)
	}
	log.next(refused)
	w.as(alice, "GET", "/media/shelf/a", "").is(200)
	w.edit(ConfigFile, shelf("get, list"))
	for line := ""; !strings.Contains(line, taken); {
		if line = log.next("level="); strings.Contains(line, refused) {
			t.Errorf("it says again %s", line)
		}
	}
}

// TestTestsGuardTheRules at the start and on a change.
func TestTestsGuardTheRules(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	writeData(t, data, ConfigFile, shelf("get"))
	writeData(t, data, TestsFile, "as alice get shelf/a -> deny\nas guest get shelf/a -> deny\nas guest get shelf/b -> allow\n")
	cfg := must(ReadConfig(data))
	c, err := CheckRules(cfg)
	if err != nil || c.Tests != 3 || len(c.Failures) != 2 {
		t.Fatalf("got %+v, %v", c, err)
	}
	_, err = Open(t.Context(), cfg, &Options{Store: memstore.New()})
	for _, want := range []string{"fail 2 of 3 tests", "rules.test:1", "rules.test:3", "shelf/*"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want one with %q", err, want)
		}
	}
	if names := must(os.ReadDir(data)); len(names) != 2 {
		t.Errorf("the server has made %v", names)
	}
	if strings.Contains(err.Error(), "\t") {
		t.Errorf("the error has tabs: %q", err)
	}
	writeData(t, data, TestsFile, "as alice get shelf/a\n")
	if _, err := CheckRules(cfg); err == nil || !strings.Contains(err.Error(), "rules.test:1") {
		t.Errorf("a test that is none: %v", err)
	}
	if err := os.Remove(filepath.Join(data, TestsFile)); err != nil {
		t.Fatal(err)
	}
	if c, err := CheckRules(cfg); err != nil || c.Tests != 0 || len(c.Failures) > 0 {
		t.Errorf("no tests: %+v, %v", c, err)
	}
	if _, err := CheckRules(&Config{Data: data}); err == nil {
		t.Error("settings without a bucket pass")
	}
}

// TestFilesThatAreWrittenToRest before they are taken, and others do not wait.
func TestFilesThatAreWrittenToRest(t *testing.T) {
	w := &world{T: t, srv: &Server{cfg: &Config{Data: t.TempDir()}}}
	dir, look := w.srv.cfg.Data, w.srv.cfg.look
	w.edit(ConfigFile, "")
	now, text := time.Now(), ""
	write := func() { // more than before, which looks different even at the same time
		t.Helper()
		text += "# more\n"
		writeData(t, dir, ConfigFile, text)
	}
	const long = 2 * time.Second
	at := writers{last: look()}
	for _, c := range []struct {
		what  string
		after time.Duration
		do    func()
		rests bool
	}{
		{"nothing", 0, func() {}, true},
		{"first half", time.Second, write, false},
		{"a pause", time.Second, func() {}, false},
		{"second half", time.Second, write, false},
		{"its first second", time.Second, func() {}, false},
		{"its second", time.Second, func() {}, true},
		{"for ever", time.Second, func() {}, true},
		{"renamed", time.Second, func() { w.edit(ConfigFile, "new") }, true},
		{"written again", time.Second, write, false},
		{"renamed meanwhile", time.Second, func() { w.edit(ConfigFile, "newer") }, true},
		{"gone", time.Second, func() { os.Remove(filepath.Join(dir, ConfigFile)) }, false},
		{"come back", time.Second, write, false},
		{"other file", time.Second, func() { writeData(t, dir, TestsFile, "# no test") }, false},
		{"one second", time.Second, func() {}, false},
		{"two seconds", time.Second, func() {}, true},
	} {
		now = now.Add(c.after)
		c.do()
		if got := at.rest(look(), now, long); got != c.rests {
			t.Errorf("%s: at rest %v, want %v", c.what, got, c.rests)
		}
	}
}

// TestPassingFaultsAreForgotten when the files are as they were, and told again when
// they come again.
func TestPassingFaultsAreForgotten(t *testing.T) {
	w, log := watched(t, shelf("get"), quick)
	name := filepath.Join(w.srv.cfg.Data, ConfigFile)
	tests := filepath.Join(w.srv.cfg.Data, TestsFile)
	for range 2 {
		for _, c := range []struct{ harm, heal func() error }{
			{func() error { return os.Rename(name, name+".away") }, func() error { return os.Rename(name+".away", name) }},
			{func() error { return os.Mkdir(tests, 0o700) }, func() error { return os.Remove(tests) }},
			{func() error { return os.Symlink("nowhere", tests) }, func() error { return os.Remove(tests) }},
		} {
			if err := c.harm(); err != nil {
				t.Fatal(err)
			}
			log.next(refused)
			if w.srv.Rules().Refused == nil {
				t.Error("the status tells nothing")
			}
			if err := c.heal(); err != nil {
				t.Fatal(err)
			}
			log.next("is right again")
			for w.srv.Rules().Refused != nil { // which is cleared right after the line
				runtime.Gosched()
			}
		}
	}
}

// TestTestsThatVanishAreMissed in the log and by operators.
func TestTestsThatVanishAreMissed(t *testing.T) {
	w, log := watched(t, shelf("get"), -1)
	reload := func() {
		t.Helper()
		if err := w.srv.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reload()
	if text := log.rest(); w.srv.Rules().Warning != "" || strings.Contains(text, "level=WARN") {
		t.Errorf("nobody had tests, but it says %s", text)
	}
	w.edit(TestsFile, "as guest get shelf/a -> deny\n")
	reload()
	if err := os.Remove(filepath.Join(w.srv.cfg.Data, TestsFile)); err != nil {
		t.Fatal(err)
	}
	reload()
	log.next("level=WARN msg=rules warning=\"rules.test has no tests any more, where 1 were")
	reload()
	if text := w.as(w.operator, "GET", wellKnown+rulesDocument, "").is(200).body; !strings.Contains(text, `"warning": "rules.test has no tests`) {
		t.Errorf("operators are told %s", text)
	}
	w.edit(TestsFile, "as guest get shelf/a -> deny\n")
	reload()
	if s := w.srv.Rules(); s.Warning != "" || s.Tests != 1 {
		t.Errorf("the rules are %+v", s)
	}
}

// TestFlagsCountForTheNextStart as they did for this one.
func TestFlagsCountForTheNextStart(t *testing.T) {
	w := newWorld(t, &setup{file: true, config: shelf("get"), opts: Options{Poll: -1}, change: func(c *Config) {
		c.TLSCert, c.TLSKey = "/cert.pem", "/key.pem"
	}})
	w.edit(ConfigFile, shelf("get")+"listen_tls: ':443'\n")
	if err := w.srv.Reload(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRestartIsAskedFor where a setting cannot change while the server runs.
func TestRestartIsAskedFor(t *testing.T) {
	w, log := watched(t, shelf("get"), -1)
	w.edit(ConfigFile, "region: eu-1\nlisten: 127.0.0.1:1\nhosts: [x.example]\nno_guests: true\n"+
		"issuers: [{name: corp, url: 'https://id.example.com', audiences: [app]}]\nprimary: corp\nlists: prefix\n"+shelf("get, list"))
	if err := w.srv.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"region", "listen", "hosts", "no_guests", "issuers", "primary"}
	if got := w.srv.Rules().Restart; !slices.Equal(got, want) {
		t.Errorf("a restart is needed for %q, want %q", got, want)
	}
	for _, name := range want {
		log.next("setting=" + name)
	}
	w.as(w.user("alice"), "GET", "/media?list-type=2&prefix=shelf/", "").is(200)
	w.newID(nil) // guests are let in still
	w.edit(ConfigFile, shelf("get"))
	if err := w.srv.Reload(t.Context()); err != nil || len(w.srv.Rules().Restart) > 0 {
		t.Errorf("after all is as it was: %v, %+v", err, w.srv.Rules())
	}

	// A name of another issuer's user must not be taken for one of ours.
	w.edit(ConfigFile, strings.ReplaceAll(shelf("get"), "shelf", "shelf/{username}")+
		"issuers: [{name: corp, url: 'https://id.example.com', audiences: [app], username_claim: email}]\nprimary: corp\n")
	if err := w.srv.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "start the server again") {
		t.Errorf("the error is %v", err)
	}
}

func TestReloadNeedsAFile(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.srv.Reload(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the error is %v", err)
	}
	// Settings that were read elsewhere are not those of this server.
	cfg := *w.srv.cfg
	cfg.file = &configFile{was: Config{Data: "elsewhere"}}
	cfg.Data = newData(t)
	srv := must(Open(t.Context(), &cfg, &Options{Store: memstore.New()}))
	defer srv.Close()
	if err := srv.Reload(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the error is %v", err)
	}
}

// TestRequestsDuringReloads never fail, whatever the rules become meanwhile.
func TestRequestsDuringReloads(t *testing.T) {
	editions := []string{shelf("get, write"), shelf("get, write") + "      other/*:\n        authenticated: [get]\n"}
	w, _ := watched(t, editions[0], -1)
	alice := w.user("alice")
	w.put("media", "shelf/a", "a")
	w.put("media", "other/a", "a")

	// An upload that lasts as long as all the reloads.
	from, to := io.Pipe()
	up := w.request("PUT", "/media/shelf/up", "")
	w.sign(alice, up, time.Now())
	up.Body, up.ContentLength = from, 200
	uploaded := make(chan *response, 1)
	go func() { uploaded <- w.do(up) }()

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w.as(alice, "GET", "/media/shelf/a", "").is(200)
				if r := w.as(alice, "GET", "/media/other/a", ""); r.status != 200 && r.status != 403 {
					t.Errorf("got %d", r.status)
				}
			}
		})
	}
	for i := range 100 {
		w.edit(ConfigFile, editions[i%2])
		if err := w.srv.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := to.Write([]byte("xy")); err != nil {
			t.Error(err)
		}
	}
	w.edit(ConfigFile, shelf("get")) // what was allowed when it began goes on
	if err := w.srv.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	to.Close()
	close(stop)
	wg.Wait()
	(<-uploaded).is(200)
	if got := w.content("media", "shelf/up"); len(got) != 200 {
		t.Errorf("%d bytes were uploaded", len(got))
	}
	w.as(alice, "PUT", "/media/shelf/up", "no").is(403)
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	cfg := must(ParseConfig([]byte(shelf("get"))))
	cfg.Data = newData(t)
	writeData(t, cfg.Data, ConfigFile, shelf("get"))
	srv := must(Open(t.Context(), must(ReadConfig(cfg.Data)), &Options{Store: memstore.New(), Poll: quick}))
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	stacks := make([]byte, 1<<20)
	if text := string(stacks[:runtime.Stack(stacks, true)]); strings.Contains(text, "(*Server).watch") {
		t.Errorf("somebody watches still:\n%s", text)
	}
}

// failing is a store that can refuse new buckets.
type failing struct {
	*memstore.Store
	fail atomic.Bool
}

func (f *failing) CreateBucket(ctx context.Context, name string) error {
	if f.fail.Load() {
		return errors.New("no disk today")
	}
	return f.Store.CreateBucket(ctx, name)
}

func TestPassingErrorsAreTriedAgain(t *testing.T) {
	svc := &failing{Store: memstore.New()}
	log := newLogbook(t)
	w := newWorld(t, &setup{file: true, config: shelf("get"), opts: Options{Log: log.logger(), Poll: quick, Store: svc}})
	svc.fail.Store(true)
	w.edit(ConfigFile, shelf("get")+"  - name: extra\n")
	if line := log.next(refused); !strings.Contains(line, "no disk today") {
		t.Errorf("it says %s", line)
	}
	svc.fail.Store(false)
	if line := log.next("level="); !strings.Contains(line, taken) {
		t.Errorf("it says %s", line)
	}
	w.as(w.operator, http.MethodHead, "/extra", "").is(200)
}
