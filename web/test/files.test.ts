import { describe, expect, it } from 'vitest';

import { bytes, imageType, inOrder, previewKind, textOf, trail } from '../src/lib/files';
import { cellsOf } from '../src/features/files/notebook';
import { type Answered, upload } from '../src/features/files/upload';

const MEGABYTE = 1024 * 1024;
const entry = (name: string, kind: 'file' | 'folder') => ({
  name,
  kind,
  size: null,
  modified: null,
  addressable: true,
});

describe('files', () => {
  it('are sorted with folders first and numbers by value', () => {
    const list = [entry('b10', 'file'), entry('b9', 'file'), entry('z', 'folder')];
    expect(inOrder(list).map((it) => it.name)).toEqual(['z', 'b9', 'b10']);
  });
  it('have sizes in a suitable unit', () => {
    expect([bytes(0), bytes(999), bytes(1500), bytes(2.5e9)]).toEqual([
      '0 B',
      '999 B',
      '1.5 kB',
      '2.5 GB',
    ]);
  });
  it('have a trail of the folders above them', () => {
    expect(trail('a/b', 'Home').map((it) => it.path)).toEqual(['', 'a', 'a/b']);
  });
  it('have a kind of preview, and a text unless they are binary', () => {
    expect(['a.PNG', 'a.ipynb', 'a.py', 'png'].map(previewKind)).toEqual([
      'image',
      'notebook',
      'text',
      'text',
    ]);
    expect(imageType('photo.jpg')).toBe('image/jpeg');
    expect(textOf(new TextEncoder().encode('é'))).toBe('é');
    expect(textOf(new TextEncoder().encode('aé').slice(0, 2))).toBe('a�');
    expect(textOf(Uint8Array.of(0, 1, 2))).toBeNull();
    expect(textOf(Uint8Array.of(0xff, 0xfe, 0xfd, 65))).toBeNull();
  });
});

describe('notebooks', () => {
  it('are reduced to texts and images, without HTML and scripts', () => {
    const cells = [
      { cell_type: 'markdown', source: ['# A\n', 'b'] },
      {
        cell_type: 'code',
        source: 'x',
        outputs: [
          { text: ['1\n', '2'] },
          { data: { 'text/html': '<script>1</script>', 'text/plain': 'plain' } },
          { data: { 'image/png': 'aGk=\n' } },
          { data: { 'image/png': '"><script>' } },
          { ename: 'ValueError', evalue: 'no' },
        ],
      },
    ];
    const found = cellsOf(JSON.stringify({ cells }));
    expect(found?.[0]).toEqual({ kind: 'markdown', source: '# A\nb', texts: [], images: [] });
    expect(found?.[1]?.texts).toEqual(['1\n2', 'plain', 'ValueError: no']);
    expect(found?.[1]?.images).toEqual(['data:image/png;base64,aGk=']);
  });
  it('are null if the file is not a notebook', () => {
    expect([cellsOf('{'), cellsOf('[]'), cellsOf('{"cells": 1}')]).toEqual([null, null, null]);
  });
});

describe('an upload', () => {
  const file = new Blob([new Uint8Array(9 * MEGABYTE)]);
  const order = { workspace: 'mine', path: 'a b', file, replace: false };
  const answer = (status: number, body: object) => ({ status, body });
  const run = (answers: (Answered | Error)[], offset = 0) => {
    const asked: string[] = [];
    const progress: number[] = [];
    const send = (url: string) => {
      asked.push(new URL(url, 'http://x').searchParams.get('offset') ?? '');
      const next = answers.shift();
      if (next !== undefined && 'status' in next) return Promise.resolve(next);
      return Promise.reject(next ?? new Error('nothing more is answered'));
    };
    const done = upload(
      { ...order, offset },
      new AbortController().signal,
      (it) => progress.push(it),
      send,
      0,
    );
    return { done, asked, progress };
  };
  it('sends piece after piece', async () => {
    const { done, asked, progress } = run([
      answer(200, { received: 4 * MEGABYTE, complete: false }),
      answer(200, { received: 8 * MEGABYTE, complete: false }),
      answer(200, { received: 9 * MEGABYTE, complete: true }),
    ]);
    await done;
    expect(asked).toEqual(['0', `${4 * MEGABYTE}`, `${8 * MEGABYTE}`]);
    expect(progress.at(-1)).toBe(9 * MEGABYTE);
  });
  it('continues at the offset that the daemon returns', async () => {
    const { done, asked } = run([
      answer(200, { received: 4 * MEGABYTE, complete: false }),
      new TypeError('network'),
      answer(409, { error: { code: 'UPLOAD_OFFSET', data: { received: 5 * MEGABYTE } } }),
      answer(200, { received: 9 * MEGABYTE, complete: true }),
    ]);
    await done;
    expect(asked.slice(-2)).toEqual([`${4 * MEGABYTE}`, `${5 * MEGABYTE}`]);
  });
  it('continues after a reload where the daemon has it', async () => {
    const answers = [
      answer(409, { error: { code: 'UPLOAD_OFFSET', data: { received: 3 * MEGABYTE } } }),
      answer(200, { received: 9 * MEGABYTE, complete: true }),
    ];
    const { done, asked } = run(answers, 5 * MEGABYTE);
    await done;
    expect(asked).toEqual([`${5 * MEGABYTE}`, `${3 * MEGABYTE}`]);
  });
  it('fails at once when it is refused', async () => {
    const { done, asked } = run([answer(409, { error: { code: 'DISK_FULL' } })]);
    await expect(done).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(asked).toHaveLength(1);
  });
  it('fails after five tries without an answer', async () => {
    const { done, asked } = run(Array.from({ length: 9 }, () => new TypeError('network')));
    await expect(done).rejects.toMatchObject({ name: 'Unreachable' });
    expect(asked).toHaveLength(5);
  });
});
