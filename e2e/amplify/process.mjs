// What a Node process needs to stand in for a browser that reaches a Cubby on
// this machine: names under localhost resolve to loopback, as browsers do it
// themselves, and there is a FileReader. Trust in the certificate comes from
// NODE_EXTRA_CA_CERTS. The client itself is unmodified.
import dns from 'node:dns';

const lookup = dns.lookup;
dns.lookup = (host, options, done) => {
	if (typeof options === 'function') [options, done] = [{}, options];
	if (host !== 'localhost' && !host.endsWith('.localhost')) return lookup(host, options, done);
	const address = { address: '127.0.0.1', family: 4 };
	process.nextTick(() => (options.all ? done(null, [address]) : done(null, address.address, address.family)));
};

globalThis.FileReader ??= class extends EventTarget {
	#read(blob, convert) {
		blob.arrayBuffer().then(
			(buffer) => {
				this.result = convert(buffer, blob);
				this.readyState = 2;
				this.onload?.({ target: this });
				this.onloadend?.({ target: this });
			},
			(error) => {
				this.error = error;
				this.onerror?.({ target: this });
			},
		);
	}
	readAsArrayBuffer(blob) {
		this.#read(blob, (b) => b);
	}
	readAsDataURL(blob) {
		this.#read(blob, (b) => `data:${blob.type};base64,${Buffer.from(b).toString('base64')}`);
	}
	readAsText(blob) {
		this.#read(blob, (b) => Buffer.from(b).toString());
	}
};

// cubby is what `cubby dev --json` printed.
export const cubby = JSON.parse(process.env.CUBBY_DEV);

export const user = (name) => {
	const found = cubby.users.find((u) => u.username === name);
	if (!found) throw new Error(`cubby dev has no user ${name}`);
	return found;
};

// bytes returns n bytes that are the same in every run and differ everywhere.
export const bytes = (n, seed = 1) => {
	const b = new Uint8Array(n);
	for (let i = 0, x = seed >>> 0 || 1; i < n; i++) {
		x ^= x << 13;
		x ^= x >>> 17;
		x ^= x << 5;
		b[i] = x;
	}
	return b;
};
