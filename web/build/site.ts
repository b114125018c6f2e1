import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

import type { Plugin } from 'vite';

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.md': 'text/plain; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};
const PACKED = new Set(['.png', '.woff2']); // compressed already
const WORTH = 0.95; // a compressed file is kept where it is smaller than this

interface Described {
  sections: readonly string[];
  source: string;
}

/** Compresses the built files and writes `site.json`, which the daemon serves them by. */
export function site({ sections, source }: Described): Plugin {
  let folder = 'dist';
  return {
    name: 'site',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
      if (config.build.outDir.startsWith('/')) folder = config.build.outDir;
    },
    closeBundle() {
      const files = Object.fromEntries(names(folder).map((name) => [name, describe(folder, name)]));
      const text = JSON.stringify({ source, sections, files }, null, 1);
      writeFileSync(join(folder, 'site.json'), `${text}\n`);
    },
  };
}

function names(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((it) => it.isFile())
    .map((it) => relative(folder, join(it.parentPath, it.name)).split(sep).join('/'))
    .sort();
}

function describe(folder: string, name: string) {
  const path = join(folder, name);
  const body = readFileSync(path);
  const type = TYPES[extname(name)];
  if (type === undefined) throw new Error(`build/site.ts does not know the type of ${name}`);
  const encodings = [];
  if (!PACKED.has(extname(name))) {
    const brotli = brotliCompressSync(body, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 11,
        [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
      },
    });
    for (const [suffix, packed] of [
      ['br', brotli],
      ['gz', gzipSync(body, { level: 9 })],
    ] as const) {
      if (packed.length >= body.length * WORTH) continue;
      writeFileSync(`${path}.${suffix}`, packed);
      encodings.push(suffix);
    }
  }
  const etag = createHash('sha256').update(body).digest('hex').slice(0, 24);
  return { type, etag, encodings, immutable: name.startsWith('assets/') };
}
