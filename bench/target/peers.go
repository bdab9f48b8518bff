package target

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Versions of the peers that Go builds. MinIO is no longer released: this is its
// last commit, which takes over ten minutes to build.
const (
	versitygw = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
	minio     = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
)

// Peers are the names of the servers that Start knows. What is on the PATH is
// taken as it is. If it is not, versitygw and minio are built by Go into a cache
// of the user; nginx is in every system's packages ("apt install nginx-light"),
// and weed, which is SeaweedFS, on the page of its releases.
func Peers() []string { return []string{"versitygw", "minio", "weed", "nginx"} }

// peerKeys are what requests to peers are signed with.
var peerKeys = keys{access: "testkey", secret: "testsecret"}

// Start starts a peer with fresh data in dir, and makes the bucket.
func Start(name, dir string) (*Server, error) {
	if !slices.Contains(Peers(), name) {
		return nil, fmt.Errorf("%s: %w: choose from %v", name, errNoPeer, Peers())
	}
	program, err := find(name)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, name+"-data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	s := &Server{Name: name, Addr: addr, keys: peerKeys}
	var cmd *exec.Cmd
	switch name {
	case "versitygw": // without --keep-alive it closes each connection
		cmd = exec.Command(program, "--port", addr, "--keep-alive", "-q", "posix", data)
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+peerKeys.access, "ROOT_SECRET_KEY="+peerKeys.secret)
	case "minio":
		cmd = exec.Command(program, "server", "--quiet", "--address", addr, data)
		cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+peerKeys.access, "MINIO_ROOT_PASSWORD="+peerKeys.secret, "MINIO_BROWSER=off")
	case "weed":
		cmd, err = weed(program, addr, dir, data)
	case "nginx":
		s.Plain = data
		cmd, err = nginx(program, addr, dir, data)
	}
	if err != nil {
		return nil, err
	}
	if err := s.start(dir, cmd); err != nil {
		return nil, err
	}
	if s.Plain == "" {
		if _, err := s.Do("PUT", "/"+Bucket, nil); err != nil {
			s.Stop()
			return nil, err
		}
	}
	return s, nil
}

// find returns the program of a peer.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	module := map[string]string{"versitygw": versitygw, "minio": minio}[name]
	if module == "" {
		return "", fmt.Errorf("%s is not on the PATH: %w", name, errNoPeer)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(cache, "cubby-bench")
	path := filepath.Join(bin, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Fprintln(os.Stderr, "building", module)
	cmd := exec.Command("go", "install", module)
	cmd.Dir, cmd.Stdout, cmd.Stderr = os.TempDir(), os.Stderr, os.Stderr
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=-mod=mod")
	return path, cmd.Run()
}

// weed is all parts of SeaweedFS in one process.
func weed(program, addr, dir, data string) (*exec.Cmd, error) {
	identities := fmt.Sprintf(`{"identities":[{"name":"bench","credentials":[{"accessKey":%q,"secretKey":%q}],"actions":["Admin","Read","Write","List","Tagging"]}]}`,
		peerKeys.access, peerKeys.secret)
	config := filepath.Join(dir, "weed.json")
	if err := os.WriteFile(config, []byte(identities), 0o600); err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	// Each part has a port for gRPC too, which is 10,000 higher.
	return exec.Command(program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir="+data, "-master.port=19333", "-volume.port=19380",
		"-filer", "-filer.port=19388", "-s3", "-s3.port="+port, "-s3.port.grpc=19399", "-s3.config="+config,
		"-volume.max=20", "-master.volumeSizeLimitMB=1024"), err
}

// nginx serves the files in data as fast as it can.
func nginx(program, addr, dir, data string) (*exec.Cmd, error) {
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n" // the directory may be closed to others
	}
	text := fmt.Sprintf(`%sworker_processes auto; pid %[2]s/nginx.pid; error_log %[2]s/nginx.err; daemon off;
events { worker_connections 4096; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 1h;
	client_body_temp_path %[2]s/nginx-tmp1; proxy_temp_path %[2]s/nginx-tmp2; fastcgi_temp_path %[2]s/nginx-tmp3;
	uwsgi_temp_path %[2]s/nginx-tmp4; scgi_temp_path %[2]s/nginx-tmp5;
	server { listen %[3]s; root %[4]s; }
}
`, user, dir, addr, data)
	config := filepath.Join(dir, "nginx.conf")
	return exec.Command(program, "-c", config, "-e", filepath.Join(dir, "nginx.err")), os.WriteFile(config, []byte(text), 0o600)
}
