export const KEY = 'Idempotency-Key';
const PAUSES = [300, 1000, 3000]; // milliseconds before it is sent again

/** A random key; `crypto.randomUUID` exists on secure origins only. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (it) => it.toString(36)).join('-');
}

/**
 * Send a request. A POST carries a key by which the daemon knows a repetition, so one whose answer
 * was lost is sent again, and still happens once.
 */
export async function send(
  request: Request,
  sending: (request: Request) => Promise<Response> = fetch,
  pauses: readonly number[] = PAUSES,
): Promise<Response> {
  if (request.method !== 'POST') return sending(request);
  request.headers.set(KEY, newKey());
  for (const pause of pauses) {
    try {
      return await sending(request.clone());
    } catch (error) {
      if (request.signal.aborted) throw error;
      await new Promise((done) => setTimeout(done, pause));
    }
  }
  return sending(request);
}
