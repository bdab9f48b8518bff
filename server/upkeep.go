package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cubby-storage/cubby/internal/state"
	"github.com/cubby-storage/cubby/store/crypt"
	"github.com/cubby-storage/cubby/store/diskstore"
)

// objectsDir is the directory of the embedded store in the data directory.
const objectsDir = "objects"

// ErrRunning is the cause where a server runs on the data directory.
var ErrRunning = diskstore.ErrInUse

// Finding is something that is wrong with the data of a server.
type Finding struct {
	Where string `json:"where"` // the file or directory: "cubby.yaml", "rules.test", "keys", "state.db", "objects"
	diskstore.Finding
}

// foundIn returns a finding without what would mend it, which holds on to much.
func foundIn(where string, f *diskstore.Finding) Finding {
	return Finding{where, diskstore.Finding{
		Kind: f.Kind, Bucket: f.Bucket, Key: f.Key, Blob: f.Blob, Text: f.Text, Mendable: f.Mendable, Mended: f.Mended,
	}}
}

// Diagnosis is what Diagnose found.
type Diagnosis struct {
	Objects  int64     `json:"objects"`
	Parts    int64     `json:"parts"`            // of uploads that are not complete
	Trash    int64     `json:"trash,omitempty"`  // objects that can be had back
	Bytes    int64     `json:"bytes"`            // of all
	Sealed   int64     `json:"sealed,omitempty"` // of which only the size was compared, since they are under keys of customers
	Findings []Finding `json:"findings"`
}

// DiagnoseOptions are the options of Diagnose. The zero value is the default.
type DiagnoseOptions struct {
	Content  bool                    // read all content, and compare it with its entity tag
	Rate     int64                   // bytes of it to read in a second at most; 0 means no limit
	Repair   bool                    // mend what can be mended without losing content that anybody can get
	Progress func(done, total int64) // told how much of the content was read, if not nil
}

// Diagnose looks for what is wrong with the settings, the rules, the keys file, the
// state and the objects in the data directory dir. No server may run on it, else the
// cause of the error is ErrRunning. If dir is none the error is fs.ErrNotExist.
func Diagnose(ctx context.Context, dir string, opts *DiagnoseOptions) (*Diagnosis, error) {
	if opts == nil {
		opts = new(DiagnoseOptions)
	}
	d := &Diagnosis{Findings: []Finding{}}
	cfg, err := ReadConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		d.found(ConfigFile, err.Error())
	} else {
		d.settings(cfg)
	}
	if err := d.objects(ctx, dir, cfg, opts); err != nil {
		return nil, err
	}
	return d, nil
}

// Diagnose is the function Diagnose for a server that is running, which goes on
// meanwhile. The settings are those of its file, if they came from one. If there is no
// embedded store the cause of the error is errors.ErrUnsupported.
func (s *Server) Diagnose(ctx context.Context, opts *DiagnoseOptions) (*Diagnosis, error) {
	if s.objects == nil {
		return nil, errNotEmbedded
	}
	if opts == nil {
		opts = new(DiagnoseOptions)
	}
	d := &Diagnosis{Findings: []Finding{}}
	cfg, err := s.cfg, error(nil)
	if s.file != nil {
		cfg, err = ReadConfig(s.cfg.Data)
	}
	if err != nil {
		d.found(ConfigFile, err.Error())
	} else {
		d.settings(cfg)
	}
	d.check(ctx, s.objects, opts)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.integrity(ctx, s.db)
	return d, ctx.Err()
}

func (d *Diagnosis) found(where, text string) {
	d.Findings = append(d.Findings, Finding{where, diskstore.Finding{Text: text}})
}

// settings looks at the settings, the rules and their tests, and the keys file.
func (d *Diagnosis) settings(cfg *Config) {
	for _, err := range []error{cfg.check(), cfg.checkStart()} {
		if err != nil {
			d.found(ConfigFile, err.Error())
		}
	}
	if tests, err := CheckRules(cfg); err != nil {
		d.found(ConfigFile, err.Error())
	} else {
		for _, text := range tests.Failures {
			d.found(TestsFile, text)
		}
	}
	path, err := cfg.keysPath()
	if err != nil {
		return // which is among the settings
	}
	fi, err := os.Stat(path)
	_, noState := os.Stat(filepath.Join(cfg.Data, StateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) && noState != nil:
		// The server was never started.
	case errors.Is(err, fs.ErrNotExist):
		d.found("keys", path+" is not there: nobody can sign in")
	case err != nil:
		d.found("keys", err.Error())
	case runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0:
		d.found("keys", fmt.Sprintf("%s can be read by others than its owner (mode %o)", path, fi.Mode().Perm()))
	}
}

// objects looks at the objects, and at the state while it has their lock. The settings,
// which may be nil, say where the keys to their content are.
func (d *Diagnosis) objects(ctx context.Context, dir string, cfg *Config, opts *DiagnoseOptions) error {
	objects := filepath.Join(dir, objectsDir)
	if _, err := os.Stat(objects); err == nil {
		err = d.store(ctx, objects, cfg, opts, func() { d.state(ctx, dir) })
		return errors.Join(err, ctx.Err())
	}
	// The server was not started yet, but users may have been added.
	d.state(ctx, dir)
	return ctx.Err()
}

// store looks at the embedded store, and calls also while it is open.
func (d *Diagnosis) store(ctx context.Context, dir string, cfg *Config, opts *DiagnoseOptions, also func()) (err error) {
	var keys *crypt.Keys
	if cfg != nil {
		if keys, err = cfg.encryption(false); err != nil {
			d.found("keys", err.Error())
		}
	}
	disk, err := diskstore.Open(dir, &diskstore.Options{NoSweep: true, Keys: keys})
	if errors.Is(err, diskstore.ErrInUse) {
		return err
	}
	if err != nil {
		d.found(objectsDir, err.Error())
		also()
		return nil
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	d.check(ctx, disk, opts)
	if ctx.Err() == nil {
		also()
	}
	return nil
}

// check looks at an embedded store that is open.
func (d *Diagnosis) check(ctx context.Context, disk *diskstore.Store, opts *DiagnoseOptions) {
	report, err := disk.Check(ctx, &diskstore.CheckOptions{Content: opts.Content, Rate: opts.Rate, Repair: opts.Repair, Progress: opts.Progress})
	if err != nil {
		if ctx.Err() == nil {
			d.found(objectsDir, err.Error())
		}
		return
	}
	d.Objects, d.Parts, d.Trash, d.Bytes, d.Sealed = report.Objects, report.Parts, report.Trash, report.Bytes, report.Sealed
	for _, f := range report.Findings {
		d.Findings = append(d.Findings, foundIn(objectsDir, &f))
	}
}

// state looks at the database of users, identities and keys.
func (d *Diagnosis) state(ctx context.Context, dir string) {
	path := filepath.Join(dir, StateFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return // as before the first start, and to open it would make it
	}
	db, err := state.Open(path, nil)
	if err != nil {
		d.found(StateFile, err.Error())
		return
	}
	d.integrity(ctx, db)
	if err := db.Close(); err != nil {
		d.found(StateFile, err.Error())
	}
}

// integrity looks at a state that is open.
func (d *Diagnosis) integrity(ctx context.Context, db *state.DB) {
	lines, err := db.Integrity(ctx)
	for _, line := range lines {
		d.found(StateFile, line)
	}
	if err != nil {
		d.found(StateFile, err.Error())
	}
}
