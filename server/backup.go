package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
	"github.com/cubby-storage/cubby/store/diskstore"
)

// BackupFile is the name of the file that makes a directory a backup. It is written
// last.
const BackupFile = "backup.json"

// backupFormat is the latest format of backups.
const backupFormat = 1

// BackupInfo describes a backup. As JSON it is the file BackupFile.
type BackupInfo struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Objects int64     `json:"objects"`
	Bytes   int64     `json:"bytes"` // of the objects
	Files   int64     `json:"files"` // that the backup has, and how large they are
	Size    int64     `json:"size"`
	// Findings are what was wrong with the objects when they were backed up.
	Findings []Finding `json:"findings"`
}

// Backup makes a backup of the data directory dir in dest, which must be empty or
// not be there: the objects, the state, the settings and the tests of the rules, never
// the keys file. No server may run on dir, else the cause of the error is ErrRunning.
// After an error dest is no backup, whatever is in it.
func Backup(ctx context.Context, dir, dest string) (_ *BackupInfo, err error) {
	b, err := newBackup(dir, dest)
	if err != nil {
		return nil, err
	}
	disk, err := diskstore.Open(filepath.Join(dir, objectsDir), &diskstore.Options{NoSweep: true})
	if err != nil {
		return nil, err
	}
	// Until it is closed no server starts.
	defer func() { err = errors.Join(err, disk.Close()) }()
	return b.make(ctx, disk, func(to string) error { return backupState(ctx, filepath.Join(dir, StateFile), to) })
}

// Backup is the function Backup for a server that is running, which goes on meanwhile.
// Settings and tests are those of the files. If there is no embedded store the cause of
// the error is errors.ErrUnsupported.
func (s *Server) Backup(ctx context.Context, dest string) (*BackupInfo, error) {
	if s.objects == nil {
		return nil, errNotEmbedded
	}
	b, err := newBackup(s.cfg.Data, dest)
	if err != nil {
		return nil, err
	}
	return b.make(ctx, s.objects, func(to string) error { return s.db.Backup(ctx, to) })
}

// errNotEmbedded is the error of what only the embedded store can do.
var errNotEmbedded = fmt.Errorf("the objects of this server are not in its data directory: %w", errors.ErrUnsupported)

// backup is one that is being made.
type backup struct {
	dest            string
	settings, tests []byte
}

// newBackup makes the directory for a backup of dir.
func newBackup(dir, dest string) (*backup, error) {
	settings, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is not the data directory of a server, it has no %s: %w", dir, ConfigFile, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	tests, err := readTests(dir)
	if err != nil {
		return nil, err
	}
	if err := apart(dir, dest); err != nil {
		return nil, err
	}
	return &backup{dest, settings, tests}, makeEmpty(dest)
}

// make copies the objects, the state by a function, and then all else.
func (b *backup) make(ctx context.Context, disk *diskstore.Store, state func(to string) error) (*BackupInfo, error) {
	report, err := disk.Backup(ctx, filepath.Join(b.dest, objectsDir))
	if err != nil {
		return nil, err
	}
	info := &BackupInfo{Format: backupFormat, Made: time.Now().Round(time.Second).UTC(), Objects: report.Objects, Bytes: report.Bytes, Findings: []Finding{}}
	for _, f := range report.Findings {
		info.Findings = append(info.Findings, foundIn(objectsDir, &f))
	}
	if err := state(filepath.Join(b.dest, StateFile)); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(b.dest, ConfigFile), b.settings); err != nil {
		return nil, err
	}
	if b.tests != nil {
		if err := writeFile(filepath.Join(b.dest, TestsFile), b.tests); err != nil {
			return nil, err
		}
	}
	if info.Files, info.Size, err = measure(ctx, b.dest); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return nil, err
	}
	// All that the file stands for is on the disk before it is.
	syncName(b.dest)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(b.dest, BackupFile), append(text, '\n')); err != nil {
		return nil, err
	}
	syncName(b.dest)
	return info, nil
}

// backupState copies the state, if there is one.
func backupState(ctx context.Context, from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := state.Open(from, nil)
	if err != nil {
		return err
	}
	return errors.Join(db.Backup(ctx, to), db.Close())
}

// RestoreOptions are the options of Restore. The zero value is the default.
type RestoreOptions struct {
	// Damaged restores what there is where the check finds damage.
	Damaged bool
	// Progress, if not nil, is told how much of the content was checked.
	Progress func(done, total int64)
}

// Restore makes the data directory dir of the backup src. The directory must be
// empty or not be there. It appears whole and checked, with all content, or not at
// all. Where the check finds damage, the Diagnosis has it and the error is ErrDamaged.
func Restore(ctx context.Context, src, dir string, opts *RestoreOptions) (_ *Diagnosis, err error) {
	if opts == nil {
		opts = new(RestoreOptions)
	}
	if err := complete(ctx, src); err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(apart(src, dir), apart(dir, src)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	if err := empty(dir); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".restore-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	if err := copyTree(ctx, src, temp); err != nil {
		return nil, err
	}
	// The settings are as they were: what is wrong with them is told at start.
	d := &Diagnosis{Findings: []Finding{}}
	cfg, err := ReadConfig(temp)
	if err == nil {
		cfg.Data = dir // which the keys lie beside
	} else {
		cfg = nil
	}
	if err := d.objects(ctx, temp, cfg, &DiagnoseOptions{Content: true, Progress: opts.Progress}); err != nil {
		return nil, err
	}
	// The keys may be put back later: what is encrypted by them cannot be compared now.
	damaged := slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Kind != diskstore.NoKey })
	if damaged && !opts.Damaged {
		return d, ErrDamaged
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.Rename(temp, dir); err != nil {
		return nil, err
	}
	syncName(filepath.Dir(dir))
	return d, nil
}

// ErrDamaged is the cause where a backup has not what it had when it was made, or
// was one of damaged objects.
var ErrDamaged = errors.New("the backup is damaged")

// complete reports that src is no complete backup.
func complete(ctx context.Context, src string) error {
	text, err := os.ReadFile(filepath.Join(src, BackupFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no complete backup, it has no %s: %w", src, BackupFile, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	var info BackupInfo
	if err := json.Unmarshal(text, &info); err != nil {
		return fmt.Errorf("%s: %w: %w", filepath.Join(src, BackupFile), ErrDamaged, err)
	}
	if info.Format > backupFormat {
		return fmt.Errorf("the backup has format %d, this program knows formats up to %d: %w", info.Format, backupFormat, errors.ErrUnsupported)
	}
	files, size, err := measure(ctx, src)
	if err == nil && (files != info.Files || size != info.Size) {
		err = fmt.Errorf("%s has %d files of %d bytes, and had %d of %d when it was made: %w", src, files, size, info.Files, info.Size, ErrDamaged)
	}
	return err
}

// walkFiles calls f with the files of a backup, other than BackupFile.
func walkFiles(ctx context.Context, dir string, f func(name string, e fs.DirEntry) error) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == BackupFile {
			return err
		}
		if !e.IsDir() && !e.Type().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a directory: %w", path, fs.ErrInvalid)
		}
		return f(name, e)
	})
}

func measure(ctx context.Context, dir string) (files, size int64, err error) {
	err = walkFiles(ctx, dir, func(_ string, e fs.DirEntry) error {
		if e.IsDir() {
			return nil
		}
		info, err := e.Info()
		if err == nil {
			files++
			size += info.Size()
		}
		return err
	})
	return files, size, err
}

// copyTree copies the files of a backup. Nothing is linked: what damages one does
// not damage the other.
func copyTree(ctx context.Context, src, dst string) error {
	var dirs []string
	err := walkFiles(ctx, src, func(name string, e fs.DirEntry) error {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dst, name))
			return os.MkdirAll(filepath.Join(dst, name), 0o700)
		}
		return copyFile(filepath.Join(src, name), filepath.Join(dst, name))
	})
	for _, dir := range dirs {
		syncName(dir)
	}
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// empty reports that there is something in dir, or that it is no directory.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: %w", dir, fs.ErrExist)
	}
	return err
}

func makeEmpty(dir string) error {
	if err := empty(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

// apart reports that inner lies in outer.
func apart(outer, inner string) error {
	o, err := filepath.Abs(outer)
	if err != nil {
		return err
	}
	i, err := filepath.Abs(inner)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(o, i); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%s lies in %s: %w", inner, outer, fs.ErrInvalid)
	}
	return nil
}

// syncName asks the disk for the names in dir. Not every system can: then they come
// with the files.
func syncName(dir string) {
	if f, err := os.Open(dir); err == nil {
		_ = f.Sync()
		f.Close()
	}
}
