package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/access"
)

// RulesStatus says which rules are in force.
type RulesStatus struct {
	Version string    `json:"version"` // a hash of the rules
	Since   time.Time `json:"since"`   // when they came into force
	Rules   int       `json:"rules"`   // how many there are
	Tests   int       `json:"tests"`   // how many tests they passed
	// Refused is what was read since but is not in force, because something is
	// wrong with it. Nil if there is no such thing.
	Refused *RefusedRules `json:"refused,omitempty"`
	// Warning says that there are no tests any more, where there were some. It is ""
	// if there are, or if there were none since the start.
	Warning string `json:"warning,omitempty"`
	// Restart names the settings that were changed and hold from the next start on.
	Restart []string `json:"restart,omitempty"`
}

// RefusedRules are settings that did not come into force.
type RefusedRules struct {
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

// Rules says which rules are in force.
func (s *Server) Rules() RulesStatus {
	s.reload.Lock()
	defer s.reload.Unlock()
	r := s.rules.Load()
	return RulesStatus{r.version, r.since, r.count(), r.check.Tests, s.reload.refused, s.reload.warning, s.reload.restart}
}

// rules are what the settings say of access. They take effect together.
type rules struct {
	cfg      *Config // whose buckets, and modes, count
	policies map[string]*access.Policy
	check    RulesCheck
	version  string
	since    time.Time // when they came into force
}

// compile makes the rules of the settings, or says what is wrong with the settings
// as far as they tell by themselves.
func (c *Config) compile() (*rules, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	policies, err := c.policies()
	if err != nil {
		return nil, err
	}
	if err := c.checkClaims(); err != nil {
		return nil, err
	}
	if _, err := c.defaultBucket(); err != nil {
		return nil, err
	}
	return &rules{cfg: c, policies: policies, version: c.version(policies)}, nil
}

// version is a name for the rules: that of others is another one.
func (c *Config) version(policies map[string]*access.Policy) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q\n", c.Groups, c.Lists, c.Amplify)
	for _, b := range c.Buckets {
		fmt.Fprintf(h, "%q %v\n%s", b.Name, b.Default, policies[b.Name])
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// warnings are what is odd about the rules.
func (r *rules) warnings() []string {
	var list []string
	for _, b := range r.cfg.Buckets {
		for _, w := range r.policies[b.Name].Warnings() {
			list = append(list, w.String())
		}
	}
	return list
}

// count is the number of rules.
func (r *rules) count() int {
	n := 0
	for _, p := range r.policies {
		n += len(p.Rules())
	}
	return n
}

// sight is what the files that are watched look like. Nil is one that is missing.
type sight [2]os.FileInfo

func (c *Config) look() (s sight) {
	for i, name := range [...]string{ConfigFile, TestsFile} {
		name = filepath.Join(c.Data, name)
		info, err := os.Stat(name)
		if err != nil {
			info, err = os.Lstat(name) // a link to nothing is not nothing
		}
		if err == nil {
			s[i] = info
		}
	}
	return s
}

// is reports whether nothing seems to have changed.
func (s sight) is(t sight) bool {
	return slices.EqualFunc(s[:], t[:], unchanged)
}

func unchanged(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// fresh reports whether a file was changed so lately that another change may have
// left no trace: the times of files have steps.
func (s sight) fresh() bool {
	return slices.ContainsFunc(s[:], func(f os.FileInfo) bool { return f != nil && time.Since(f.ModTime()).Abs() < 2*time.Second })
}

// writers knows since when files have been written to in place. Such a file may make
// sense before it is whole, and then gives rights that its end takes back.
type writers struct {
	last sight
	wait [2]bool      // since the time beside it
	seen [2]time.Time // when a change in place was seen
}

// rest reports whether no file that was written to in place, or that has come or gone,
// has changed for as long as that. A file that took the place of another is whole.
func (w *writers) rest(now sight, at time.Time, long time.Duration) bool {
	for i, f := range now {
		last := w.last[i]
		switch {
		case unchanged(last, f):
			w.wait[i] = w.wait[i] && at.Sub(w.seen[i]) < long
		case last != nil && f != nil && !os.SameFile(last, f):
			w.wait[i] = false
		default:
			w.wait[i], w.seen[i] = true, at
		}
	}
	w.last = now
	return !slices.Contains(w.wait[:], true)
}

// edition is what the files hold.
type edition struct {
	settings, tests []byte
	err             error // why they could not be read
}

func (c *Config) edition() (e edition) {
	var errs [2]error
	e.settings, errs[0] = os.ReadFile(filepath.Join(c.Data, ConfigFile))
	e.tests, errs[1] = readTests(c.Data)
	e.err = cmp.Or(errs[0], errs[1])
	return e
}

func (e *edition) id() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %v", e.settings, e.tests, e.err))
}

// reload is what is known of the files that the settings came from.
type reload struct {
	sync.Mutex
	tried   [sha256.Size]byte // the edition that was read last
	refused *RefusedRules
	warning string
	restart []string
	base    string // URL in the outputs that were written; "" if none were
}

// watch takes over what changes in the files, until ctx ends. They are known to have
// looked like first.
func (s *Server) watch(ctx context.Context, first sight, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	var seen *sight // whose edition was taken or refused for good
	w := writers{last: first}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.cfg.look()
		if !w.rest(now, time.Now(), 2*every-every/10) { // a tick may come early
			continue
		}
		if seen != nil && now.is(*seen) && !now.fresh() {
			continue
		}
		// Somebody may be writing still. If so, that is for the next time.
		rest.Reset(every / 10)
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		e := s.cfg.edition()
		if !s.cfg.look().is(now) {
			continue
		}
		seen = &now
		if err := s.take(ctx, e, false); errors.Is(err, errPassing) {
			seen = nil
		}
	}
}

// errPassing is the cause of errors that may go away by themselves.
var errPassing = errors.New("this is tried again")

// Reload reads the settings and the tests of the rules again, as the server does by
// itself when they change. What they say of buckets, groups, lists and amplify takes
// effect at once, on requests that begin after that; other settings do at the next
// start. If anything is wrong, the error says what, and nothing changes.
//
// Of settings that ReadConfig did not return the error is errors.ErrUnsupported.
func (s *Server) Reload(ctx context.Context) error {
	if s.file == nil {
		return fmt.Errorf("the settings are not those of a file: %w", errors.ErrUnsupported)
	}
	return s.take(ctx, s.cfg.edition(), true)
}

// take puts an edition into force, unless it was tried already or something is
// wrong with it.
func (s *Server) take(ctx context.Context, e edition, again bool) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	id := e.id()
	if id == s.reload.tried && !again {
		return nil
	}
	err := s.apply(ctx, e)
	if err == nil {
		if s.reload.refused != nil {
			s.log.InfoContext(ctx, "what was wrong with the rules is right again", "version", s.rules.Load().version)
		}
		s.reload.tried, s.reload.refused = id, nil
		return nil
	}
	s.reload.tried = id
	if errors.Is(err, errPassing) {
		s.reload.tried = [sha256.Size]byte{} // whatever comes next is news, even what is in force
	}
	text := withoutCause(err)
	if again || s.reload.refused == nil || s.reload.refused.Error != text {
		s.log.ErrorContext(ctx, "the rules were not taken over, the old ones stay in force", "version", s.rules.Load().version, "error", text)
	}
	s.reload.refused = &RefusedRules{time.Now().UTC(), text}
	return err
}

func (s *Server) apply(ctx context.Context, e edition) error {
	if e.err != nil {
		return fmt.Errorf("%w; %w", e.err, errPassing)
	}
	if len(bytes.TrimSpace(e.settings)) == 0 {
		return fmt.Errorf("%s is empty: %w", ConfigFile, fs.ErrInvalid)
	}
	cfg, err := ParseConfig(e.settings)
	if err != nil {
		return err
	}
	cfg.Data = s.cfg.Data
	next, err := cfg.compile()
	if err != nil {
		return err
	}
	if err := next.run(e.tests); err != nil {
		return err
	}
	if err := next.check.failed(); err != nil {
		return err
	}
	if err := cfg.samePrimary(&s.file.was); err != nil {
		return err
	}
	if err := s.nextStart(cfg).checkStart(); err != nil {
		return fmt.Errorf("the next start would fail: %w", err)
	}
	if err := cfg.keepable(s.objects); err != nil {
		return err
	}
	old := s.rules.Load()
	for _, b := range cfg.Buckets {
		if old.policies[b.Name] != nil {
			continue
		}
		if err := s.svc.CreateBucket(ctx, b.Name); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w; %w", err, errPassing)
		}
	}
	if err := s.setBuckets(ctx, cfg); err != nil {
		return fmt.Errorf("%w; %w", err, errPassing)
	}
	next.since = time.Now().UTC()
	if next.version == old.version {
		next.since = old.since
	}
	s.gate.SetPolicies(next.policies)
	s.rules.Store(next)
	s.tellChange(ctx, old, next)
	switch {
	case next.check.Tests > 0:
		s.reload.warning = ""
	case old.check.Tests > 0:
		s.reload.warning = fmt.Sprintf("%s has no tests any more, where %d were: nothing checks the next change of the rules", TestsFile, old.check.Tests)
		s.log.WarnContext(ctx, "rules", "warning", s.reload.warning)
	}
	s.reload.restart = cfg.needRestart(&s.file.was)
	for _, name := range s.reload.restart {
		s.log.WarnContext(ctx, "a changed setting holds from the next start on", "setting", name)
	}
	if s.reload.base != "" && next.version != old.version {
		if err := s.writeOutputs(ctx, s.reload.base); err != nil {
			s.log.WarnContext(ctx, outputsFile, "error", err)
		}
	}
	return nil
}

// nextStart returns the settings with which the server would start, if it were given
// what it was given beside the file this time, such as flags.
func (s *Server) nextStart(cfg *Config) *Config {
	next, was := *cfg, &s.file.was
	for _, f := range []struct {
		next     *string
		now, was string
	}{
		{&next.Keys, s.cfg.Keys, was.Keys},
		{&next.Listen, s.cfg.Listen, was.Listen},
		{&next.ListenTLS, s.cfg.ListenTLS, was.ListenTLS},
		{&next.TLSCert, s.cfg.TLSCert, was.TLSCert},
		{&next.TLSKey, s.cfg.TLSKey, was.TLSKey},
	} {
		if f.now != f.was {
			*f.next = f.now
		}
	}
	return &next
}

// samePrimary refuses rules about users' own values if they are meant for the users
// of another issuer than those of the server that is running: until it is started
// again, somebody else could have the same name.
func (c *Config) samePrimary(running *Config) error {
	if c.Primary == running.Primary {
		return nil
	}
	for _, b := range c.Buckets {
		for _, r := range b.Rules {
			for _, token := range []string{"{sub}", "{username}", "{claim:"} {
				if strings.Contains(r.Path, token) {
					return fmt.Errorf("%s: %s would be about users of another issuer than now, since primary has changed: start the server again: %w", r.Pos, r.Path, fs.ErrInvalid)
				}
			}
		}
	}
	return nil
}

// needRestart names the settings that differ from those of the server that is
// running and that it cannot take over.
func (c *Config) needRestart(running *Config) (names []string) {
	now, then := reflect.ValueOf(*c), reflect.ValueOf(*running)
	for i := range now.NumField() {
		name, _, _ := strings.Cut(now.Type().Field(i).Tag.Get("yaml"), ",")
		switch name {
		case "", "-", "buckets", "groups", "lists", "amplify":
			continue
		}
		if !reflect.DeepEqual(now.Field(i).Interface(), then.Field(i).Interface()) {
			names = append(names, name)
		}
	}
	return names
}

// most is how many lines tell of changed rules, or of failed tests.
const most = 50

// tellChange logs what the rules mean that they did not mean before.
func (s *Server) tellChange(ctx context.Context, old, next *rules) {
	if next.version == old.version {
		s.log.InfoContext(ctx, "the rules were read again and are as they were", "version", next.version, "tests", next.check.Tests)
		return
	}
	names := slices.Collect(maps.Keys(next.policies))
	for name := range old.policies {
		if next.policies[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var lines [][]any
	for _, name := range names {
		for _, c := range access.Diff(old.policies[name], next.policies[name]) {
			lines = append(lines, []any{"bucket", name, "change", c.String()})
		}
	}
	s.log.InfoContext(ctx, "the rules have changed", "version", next.version, "before", old.version,
		"rules", next.count(), "changes", len(lines), "tests", next.check.Tests)
	for _, line := range lines[:min(most, len(lines))] {
		s.log.InfoContext(ctx, "rules", line...)
	}
	for _, name := range names {
		if next.policies[name] == nil {
			s.log.WarnContext(ctx, "a bucket is not in the settings any more, only operators reach it", "bucket", name)
		}
	}
	for _, w := range next.warnings() {
		s.log.WarnContext(ctx, "rules", "warning", w)
	}
}
