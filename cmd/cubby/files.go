package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/cubby-storage/cubby"
)

// fileJSON is an object as --json prints it.
type fileJSON struct {
	Bucket             string            `json:"bucket"`
	Path               string            `json:"path"`
	Size               *int64            `json:"size,omitempty"` // nil if it is not known
	ETag               string            `json:"etag,omitempty"`
	Modified           *time.Time        `json:"modified,omitempty"`
	ContentType        string            `json:"content_type,omitempty"`
	CacheControl       string            `json:"cache_control,omitempty"`
	ContentDisposition string            `json:"content_disposition,omitempty"`
	ContentEncoding    string            `json:"content_encoding,omitempty"`
	ContentLanguage    string            `json:"content_language,omitempty"`
	Expires            string            `json:"expires,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
	Folder             bool              `json:"folder,omitempty"`
}

func toJSON(i *cubby.Info) fileJSON {
	f := fileJSON{
		Bucket: i.Bucket, Path: i.Path, Size: &i.Size, ETag: i.ETag, ContentType: i.ContentType, CacheControl: i.CacheControl,
		ContentDisposition: i.ContentDisposition, ContentEncoding: i.ContentEncoding, ContentLanguage: i.ContentLanguage,
		Expires: i.Expires, Metadata: i.User,
	}
	if !i.ModTime.IsZero() {
		f.Modified = &i.ModTime
	}
	return f
}

func (a *app) put() *cobra.Command {
	var opts cubby.UploadOptions
	c := &cobra.Command{
		Use:     "put FILE... REMOTE",
		GroupID: "files",
		Short:   "Upload files",
		Long: `Put uploads files. A REMOTE that ends in "/" or ":" is a folder, in which each file
keeps its name. FILE may be "-" for standard input.`,
		Example: "  cubby put photo.jpg private:photo.jpg\n  cubby put *.jpg public:album/\n  tar c . | cubby put - private:backup.tar",
		Args:    args(2, -1, "one or more files and a remote name"),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := parseRemote(args[len(args)-1])
			if err != nil {
				return usage(c, err)
			}
			files := args[:len(args)-1]
			if len(files) > 1 && !to.folder() {
				return usage(c, fmt.Errorf("several files go into a folder: end %q with a slash", args[len(args)-1]))
			}
			for _, name := range files {
				if err := uploadable(c, name, to); err != nil {
					return err
				}
			}
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			put := []fileJSON{}
			for _, name := range files {
				var info *cubby.Info
				if info, err = a.putOne(c, client, name, to, opts); err != nil {
					break
				}
				put = append(put, toJSON(info))
				if !a.json && !a.quiet {
					fmt.Fprintf(a.stdout, "%s  %s\n", printable(info.Path), size(info.Size))
				}
			}
			if a.json && (err == nil || len(put) > 0) {
				err = cmp.Or(err, a.printJSON(put))
			}
			return err
		},
	}
	f := c.Flags()
	f.BoolVarP(&opts.PreventOverwrite, "no-overwrite", "n", false, "fail if there is a file of that name already")
	f.StringVar(&opts.ContentType, "content-type", "", "media type (default by the name or the content)")
	f.StringVar(&opts.CacheControl, "cache-control", "", "Cache-Control of the file")
	f.StringVar(&opts.ContentDisposition, "content-disposition", "", "Content-Disposition of the file")
	f.StringVar(&opts.ContentEncoding, "content-encoding", "", "Content-Encoding of the file")
	f.StringToStringVar(&opts.User, "metadata", nil, "metadata, as NAME=VALUE; may be repeated")
	f.StringToStringVar(&opts.Tags, "tag", nil, "tag, as NAME=VALUE; may be repeated")
	return c
}

// uploadable refuses what put cannot upload, before anything is.
func uploadable(c *cobra.Command, name string, to remote) error {
	if name == "-" {
		if to.folder() {
			return usage(c, errors.New("standard input has no name: let the remote name end in one"))
		}
		return nil
	}
	st, err := os.Stat(name)
	if err == nil && st.IsDir() {
		return usage(c, fmt.Errorf("%s is a directory; put takes files", name))
	}
	return err
}

// putOne uploads the file called name, or standard input.
func (a *app) putOne(c *cobra.Command, client *cubby.Client, name string, to remote, opts cubby.UploadOptions) (*cubby.Info, error) {
	var r io.Reader
	total := int64(-1)
	if name == "-" {
		name, r = to.base(), a.input(c.Context())
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
			total = st.Size()
		}
		r = f
		if to.folder() {
			to = to.join(filepath.Base(name))
		}
	}
	bar := a.progress(filepath.Base(name), total)
	defer bar.end()
	opts.Progress = bar.set
	return client.Upload(c.Context(), to.location(), r, &opts)
}

func (a *app) ls() *cobra.Command {
	var recursive, long bool
	c := &cobra.Command{
		Use:     "ls [REMOTE]",
		GroupID: "files",
		Short:   "List files",
		Long: `Ls lists what you may list of all that begins with REMOTE, which is private: by
default, and a whole bucket if it is '' or BUCKET//. Folders end in a slash; -r
goes into them.`,
		Example: "  cubby ls private:\n  cubby ls -rl public:album/\n  cubby ls public:al",
		Args:    args(0, 1, "at most one remote name"),
		RunE: func(c *cobra.Command, args []string) error {
			name := "private:"
			if len(args) == 1 {
				name = args[0]
			}
			at, err := parsePrefix(name)
			if err != nil && name != "" {
				return usage(c, err)
			}
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			opts := &cubby.ListOptions{Delimiter: "/"}
			if recursive {
				opts.Delimiter = ""
			}
			_, prefix, err := client.Resolve(c.Context(), at.location())
			if err != nil {
				return err
			}
			// What is shown begins behind the last slash of what was asked for.
			cut := strings.LastIndexByte(prefix, '/') + 1
			w := tabwriter.NewWriter(a.stdout, 0, 0, 0, ' ', tabwriter.AlignRight)
			files := []fileJSON{}
			for item, err := range client.List(c.Context(), at.location(), opts) {
				if err != nil {
					return cmp.Or(err, w.Flush())
				}
				switch name := item.Path[cut:]; {
				case a.json:
					f := fileJSON{Bucket: item.Bucket, Path: item.Path, Size: &item.Size, ETag: item.ETag, Folder: item.Folder}
					if !item.Folder {
						f.Modified = &item.ModTime
					}
					files = append(files, f)
				case long && item.Folder:
					fmt.Fprintf(w, "\t\t  %s\n", printable(name))
				case long:
					fmt.Fprintf(w, "%d\t  %s\t  %s\n", item.Size, item.ModTime.Local().Format("2006-01-02 15:04"), printable(name))
				default:
					fmt.Fprintln(a.stdout, printable(name))
				}
			}
			if a.json {
				return a.printJSON(files)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "list what lies in folders, too")
	c.Flags().BoolVarP(&long, "long", "l", false, "show size and time")
	return c
}

func (a *app) rm() *cobra.Command {
	var recursive bool
	c := &cobra.Command{
		Use:     "rm REMOTE...",
		GroupID: "files",
		Short:   "Remove files",
		Long:    `Rm removes files. To remove one that is not there is no error. -r removes folders.`,
		Example: "  cubby rm private:photo.jpg\n  cubby rm -r public:album/",
		Args:    args(1, -1, "one or more remote names"),
		RunE: func(c *cobra.Command, args []string) error {
			var all []remote
			for _, name := range args {
				at, err := parseRemote(name)
				if err != nil {
					return usage(c, err)
				}
				if at.folder() && !recursive {
					return usage(c, fmt.Errorf("%s is a folder: add -r to remove all that lies in it", name))
				}
				all = append(all, at)
			}
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			removed, errs := 0, several(nil)
			for _, at := range all {
				if !recursive {
					if err := client.Remove(c.Context(), at.location()); err != nil {
						errs = append(errs, err)
					} else {
						removed++
					}
					continue
				}
				before := len(errs)
				n, err := client.RemoveAll(c.Context(), at.location(), &cubby.RemoveAllOptions{
					Progress: func(_ []string, failed []error) { errs = append(errs, failed...) },
				})
				removed += n
				if err != nil && len(errs) == before {
					errs = append(errs, err)
				}
			}
			if a.json {
				err = a.printJSON(map[string]int{"removed": removed})
			} else if recursive && !a.quiet {
				_, err = fmt.Fprintf(a.stdout, "removed %d\n", removed)
			}
			if len(errs) > 0 {
				return errs
			}
			return err
		},
	}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "remove all that lies below REMOTE")
	return c
}

func (a *app) cp() *cobra.Command {
	var opts cubby.CopyOptions
	c := &cobra.Command{
		Use:     "cp REMOTE REMOTE",
		GroupID: "files",
		Short:   "Copy a file on the server",
		Example: "  cubby cp private:photo.jpg public:photo.jpg",
		Args:    args(2, 2, "two remote names; put and get are for files on this machine"),
		RunE: func(c *cobra.Command, args []string) error {
			from, err := parseRemote(args[0])
			if err != nil {
				return usage(c, err)
			}
			to, err := parseRemote(args[1])
			if err != nil {
				return usage(c, err)
			}
			if to.folder() {
				to = to.join(from.base())
			}
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			info, err := client.Copy(c.Context(), to.location(), from.location(), &opts)
			if err != nil {
				return err
			}
			copied := toJSON(info)
			copied.Size = nil // which the answer to a copy does not tell
			return a.confirm(copied, "%s", printable(info.Path))
		},
	}
	c.Flags().BoolVarP(&opts.PreventOverwrite, "no-overwrite", "n", false, "fail if there is a file of that name already")
	return c
}

func (a *app) url() *cobra.Command {
	var opts cubby.URLOptions
	var upload bool
	c := &cobra.Command{
		Use:     "url REMOTE",
		GroupID: "files",
		Short:   "Make a link to a file",
		Long: `Url prints a link by which anybody gets the file until it expires, or, with
--upload, puts it there. It expires with your session's keys at the latest.`,
		Example: "  curl -O \"$(cubby url private:photo.jpg)\"\n  curl -T photo.jpg \"$(cubby url --upload private:photo.jpg)\"",
		Args:    args(1, 1, "one remote name"),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := parseRemote(args[0])
			if err != nil {
				return usage(c, err)
			}
			if opts.Expires <= 0 {
				return usage(c, fmt.Errorf("a link cannot expire after %v", opts.Expires))
			}
			if upload {
				opts.Method = "PUT"
			}
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			asked := time.Now().Add(opts.Expires)
			u, expires, err := client.URL(c.Context(), at.location(), &opts)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"url": u.String(), "expires": expires.UTC()})
			}
			fmt.Fprintln(a.stdout, u)
			// Less than a tenth, or a minute, is not worth a word.
			short := asked.Sub(expires) > min(time.Minute, opts.Expires/10)
			if short && c.Flags().Changed("expires") && !a.quiet {
				fmt.Fprintf(a.stderr, "cubby: the link works until %s, when your session's keys expire\n", expires.Local().Format("2006-01-02 15:04:05"))
			}
			return nil
		},
	}
	c.Flags().DurationVar(&opts.Expires, "expires", cubby.DefaultExpires, "how long the link works")
	c.Flags().BoolVar(&upload, "upload", false, "a link to upload with")
	c.Flags().BoolVar(&opts.Validate, "check", false, "fail if there is no such file")
	return c
}

func (a *app) stat() *cobra.Command {
	return &cobra.Command{
		Use:     "stat REMOTE",
		GroupID: "files",
		Short:   "Show what is known of a file",
		Args:    args(1, 1, "one remote name"),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := parseRemote(args[0])
			if err != nil {
				return usage(c, err)
			}
			client, err := a.client(c.Context())
			if err != nil {
				return err
			}
			info, err := client.Properties(c.Context(), at.location())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(toJSON(info))
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			row := func(name, value string) {
				if value != "" {
					fmt.Fprintf(w, "%s\t%s\n", name, printable(value))
				}
			}
			row("path", info.Path)
			row("bucket", info.Bucket)
			row("size", fmt.Sprintf("%d (%s)", info.Size, size(info.Size)))
			row("modified", info.ModTime.Local().Format(time.RFC3339))
			row("etag", info.ETag)
			row("content type", info.ContentType)
			row("cache control", info.CacheControl)
			row("content disposition", info.ContentDisposition)
			row("content encoding", info.ContentEncoding)
			row("content language", info.ContentLanguage)
			row("expires", info.Expires)
			for _, name := range slices.Sorted(maps.Keys(info.User)) {
				row("metadata "+name, info.User[name])
			}
			return w.Flush()
		},
	}
}

// printable shows control characters in a name as a terminal should see them, and
// those that would turn around what stands beside them.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, s)
}
