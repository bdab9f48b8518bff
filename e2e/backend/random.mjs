// Prints definitions of access to give to generate.mjs, one on a line:
//
//	node random.mjs NUMBER COUNT | node generate.mjs
//
// The same number prints the same definitions. About one in four is refused.
const [number, count] = process.argv.slice(2).map(Number);

let state = number >>> 0;
// below returns a number from 0 up to n, but not n (mulberry32).
const below = (n) => {
	state = (state + 0x6d2b79f5) | 0;
	let t = Math.imul(state ^ (state >>> 15), state | 1);
	t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
	return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
};
const pick = (list) => list[below(list.length)];
const chance = (n) => below(n) === 0; // one in n
const times = (n, make) => Array.from({ length: n }, make);
const shuffle = (list) => {
	for (let i = list.length - 1; i > 0; i--) {
		const j = below(i + 1);
		[list[i], list[j]] = [list[j], list[i]];
	}
	return list;
};

const token = '{entity_id}';
const variable = '${cognito-identity.amazonaws.com:sub}';
const plain = ['a', 'b', 'ab', 'a-', 'a0', 'A', 'media', 'shared'];
const odd = [
	variable, variable, 'a b', 'é', 'e\u0301', '日本', '😀', '?', 'x?y', '.', '..', '%2f', '1', '007', '-1', '{sub}', '{entity_id', 'entity_id}',
	'{Entity_id}', '${aws:username}', '$', '$$', '$&', '${*}', '"', '\\', '&<>', ' ', '\t', '\u2028', '__proto__', 'constructor', 'groupsa', '+', "'",
];
const groups = [
	'a', 'b', 'admin', 'admin', 'Admins', 'super admin', '1', '', 'groups', 'group:a', 'guest', 'authenticated', 'authenticatedUserIamRole',
	'unauthenticatedUserIamRole', 'é', 'e\u0301', '日本', '__proto__', 'constructor', '*', '?', 'a/b', '${x}', ':x', '"', '&<>',
];
const actions = ['read', 'get', 'list', 'write', 'delete'];

const segment = () => (chance(5) ? pick(odd) : pick(plain));

// family returns paths that hang together, mostly as the generator wants them.
const family = () => {
	const base = times(1 + below(3), segment).join('/');
	const paths = [];
	switch (below(6)) {
		case 0:
			paths.push(base);
			break;
		case 1:
			paths.push(`${base}/${token}`);
			break;
		case 2: // siblings, one of which begins like another
			paths.push(`${base}/${token}`, `${base}/${segment()}`, `${base}/${variable}`, `${base}/${segment()}/${segment()}`, `${base}x`);
			break;
		case 3:
			paths.push(base, ...times(1 + below(3), () => `${base}/${segment()}`), `${base}${pick(plain)}`);
			break;
		case 4:
			paths.push(base, `${base}/${variable}`, `${base}/${variable}x`, `${base}/${segment()}/${variable}`);
			break;
		default: // one level below a sibling of the owner's
			paths.push(`${base}/${token}`, `${base}/b`, `${base}/b/${segment()}`, `${base}/${variable}/${segment()}`);
	}
	return shuffle(paths)
		.slice(0, 1 + below(4))
		.map((p) => `${p}/*`);
};

// broken returns paths of which at least one should be refused.
const broken = () => {
	const [a, b, c] = times(3, () => pick(plain));
	return pick([
		[`/${a}/*`], ['/*'], ['*'], [''], ['/'], [a], [`${a}/`], [`${a}*`], [`${a}/**`], [`${a}/*/`], [`${a}/* `], [`${a}//${b}/*`], [`${a}//*`], ['//*'],
		[`${a}/*/${b}/*`], [`${a}*/${b}/*`], [`*${a}/*`], [`*/*`], [`${a}/${token}*/*`], ['1'], ['2', '1'], ['007'],
		[`${a}/*`, `${a}/${b}/*`, `${a}/${b}/${c}/*`], [`${a}/${b}/${c}/x/*`, `${a}/${b}/*`, `${a}/*`], [`${a}/*`, `${a}/${token}/*`],
		[`${a}/${token}/*`, `${a}/*`], [`${a}/${b}/${token}/*`, `${a}/*`], [`${token}/*`], [`${a}/${token}/${b}/*`], [`${a}/${token}/${token}/*`],
		[`${token}/${a}/${token}/*`], [`${a}/x${token}/*`], [`${a}/${token}x/*`], [`${a}${token}/*`], [`${a}/${token}`], [`${a}/${token}/`],
		[`${a}/${token}${token}/*`], [`${token}${a}/*`], [`/${token}/*`], [`${a}/{${token}}/*`],
	]);
};

const some = () => {
	if (chance(60)) return [];
	const list = shuffle([...actions]).slice(0, 1 + below(4));
	return chance(4) ? [...list, pick(list), pick(actions)] : list;
};

const rules = () => {
	const list = shuffle([
		() => ({ guest: some() }),
		() => ({ authenticated: some() }),
		() => ({ 'entity:identity': some() }),
		() => ({ groups: [pick(groups)], to: some() }),
		() => ({ groups: [...new Set(times(below(4), () => pick(groups)))], to: some() }),
		() => ({ resource: pick(['f', 'g', 'my function']), to: some() }),
		() => ({ resource: pick(['f', 'g']), to: some() }),
	]).slice(0, chance(12) ? 0 : 1 + below(1 + below(4)));
	if (chance(40)) list.push(pick(list) ?? (() => ({ groups: ['a', 'a'], to: some() })));
	return list.map((make) => make());
};

for (let i = 0; i < count; i++) {
	const paths = times(chance(20) ? 0 : 1 + below(2), family).flat();
	// What the generator would refuse for its nesting is mostly left out.
	const short = (p) => p.replaceAll('*', '');
	const kept = [];
	for (const p of shuffle([...new Set(paths)]).slice(0, 6)) {
		const together = [...kept, p];
		const above = (q) => together.filter((o) => o !== q && q.startsWith(short(o))).length;
		if (chance(15) || together.every((q) => above(q) <= (q.includes(token) ? 0 : 1))) kept.push(p);
	}
	if (chance(6)) kept.splice(below(kept.length + 1), 0, ...broken());
	const access = Object.fromEntries(kept.map((p) => [p, rules()]));
	console.log(JSON.stringify({ name: `${number}-${i}`, access }));
}
