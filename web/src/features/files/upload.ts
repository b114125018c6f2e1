import { ApiError, errorOf, isRecord, Unreachable } from '../../api/errors';
import { contentAt } from '../../lib/files';

const PIECE = 4 * 1024 * 1024; // bytes of one request, so that progress is seen
const TRIES = 5;
const REST = 1000; // milliseconds before a piece is sent again, times how often it was tried

export interface Upload {
  readonly workspace: string;
  readonly path: string;
  readonly file: Blob;
  readonly replace: boolean;
}

type Send = (url: string, body: Blob, signal: AbortSignal) => Promise<Response>;

const send: Send = (url, body, signal) =>
  fetch(url, {
    method: 'PUT',
    body,
    signal,
    headers: { 'Content-Type': 'application/octet-stream' },
  });
const pause = (time: number) => new Promise((done) => setTimeout(done, time));

/** Send a file in pieces; one that was lost is sent again from the byte that is missing. */
export async function upload(
  it: Upload,
  signal: AbortSignal,
  progress: (sent: number) => void,
  sending: Send = send,
  rest = REST,
): Promise<void> {
  const { size } = it.file;
  let offset = 0;
  let failures = 0;
  for (;;) {
    const query = new URLSearchParams({ offset: `${offset}`, size: `${size}` });
    if (it.replace) query.set('replace', 'true');
    const piece = it.file.slice(offset, offset + PIECE);
    const url = `${contentAt(it.workspace, it.path)}&${query}`;
    const answer = await sending(url, piece, signal).catch((error: unknown) => {
      if (signal.aborted) throw error;
      return null;
    });
    const body: unknown = answer === null ? null : await answer.json().catch(() => null);
    if (answer?.ok === true && isRecord(body)) {
      failures = 0;
      offset = Number(body['received']);
      progress(offset);
      if (body['complete'] === true) return;
      continue;
    }
    failures += 1;
    const error = answer === null ? new Unreachable() : errorOf(answer.status, body);
    const received = receivedOf(error);
    // After a lost answer the daemon may have more, or less, than this page knows.
    if (received !== null && failures < TRIES) offset = received;
    else if (answer !== null || failures >= TRIES) throw error;
    await pause(rest * failures);
  }
}

function receivedOf(error: Error): number | null {
  if (!(error instanceof ApiError) || error.code !== 'UPLOAD_OFFSET') return null;
  const received = error.data['received'];
  return typeof received === 'number' ? received : null;
}
