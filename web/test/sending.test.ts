import { expect, test } from 'vitest';

import { KEY, send } from '../src/api/sending';

const url = 'http://localhost/api';
const lost = () => Promise.reject(new TypeError('lost'));

/** Loses the first answers, and keeps the key and the body of each request. */
function losing(count: number) {
  const sent: [string | null, string][] = [];
  const sending = async (request: Request) => {
    sent.push([request.headers.get(KEY), await request.text()]);
    return sent.length <= count ? lost() : new Response('done');
  };
  return { sent, sending };
}

test('a POST whose answer was lost is sent again with the same key and body', async () => {
  const { sent, sending } = losing(2);
  const answer = await send(new Request(url, { method: 'POST', body: 'x' }), sending, [0, 0, 0]);
  expect(await answer.text()).toBe('done');
  expect(sent).toHaveLength(3);
  expect(new Set(sent.map(([key]) => key)).size).toBe(1);
  expect(sent.map(([, body]) => body)).toEqual(['x', 'x', 'x']);
});

test('two POSTs have different keys', async () => {
  const { sent, sending } = losing(0);
  for (let count = 0; count < 2; count += 1) {
    await send(new Request(url, { method: 'POST' }), sending, []);
  }
  expect(sent[0]?.[0]).not.toBe(sent[1]?.[0]);
});

test('a request that is given up, or is no POST, is sent once', async () => {
  const { sent, sending } = losing(9);
  await expect(send(new Request(url, { method: 'DELETE' }), sending, [0])).rejects.toThrow('lost');
  expect(sent).toEqual([[null, '']]);
  const signal = AbortSignal.abort();
  const given = new Request(url, { method: 'POST', signal });
  await expect(send(given, lost, [0])).rejects.toThrow('lost');
});

test('a POST that never gets an answer fails in the end', async () => {
  const { sent, sending } = losing(9);
  const request = new Request(url, { method: 'POST' });
  await expect(send(request, sending, [0, 0, 0])).rejects.toThrow('lost');
  expect(sent).toHaveLength(4);
});
