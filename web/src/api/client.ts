import createClient, { type Middleware } from 'openapi-fetch';

import { errorOf, Unreachable } from './errors';
import type { components, paths } from './schema';
import { send } from './sending';

export type Schemas = components['schemas'];
export type Instance = Schemas['Instance'];
export type State = Schemas['WorkspaceState'];
export type TemplateItem = Schemas['TemplateItem'];

/** Answers come back as data; whatever else happens is thrown, as an error that can be shown. */
const refusals: Middleware = {
  async onResponse({ response }) {
    if (response.ok) return;
    if (response.status === MISDIRECTED) location.reload(); // which leads to the same page there
    if (response.status === UNAUTHENTICATED && isLoggedIn) location.reload(); // to log in again
    const body: unknown = await response.json().catch(() => null);
    throw errorOf(response.status, body);
  },
  onError() {
    return new Unreachable();
  },
};

const MISDIRECTED = 421; // the daemon was started again, and the GUI has another address

const UNAUTHENTICATED = 401; // the session has ended
let isLoggedIn = false;

/** Say that this page has been let in: from now on, a refusal means that the session has ended. */
export function expectSession(): void {
  isLoggedIn = true;
}

export const api = createClient<paths>({ baseUrl: '/', fetch: (request) => send(request) });
api.use(refusals);

/** Ask whether the daemon is back, and whether it still answers at this address. */
export function followAddress(): void {
  api.GET('/api/v1/daemon/status').catch(() => undefined);
}

/** The data of an answer; refusals were thrown before it got here. */
export async function data<T>(call: Promise<{ data?: T | undefined }>): Promise<T> {
  const answer = await call;
  return answer.data as T;
}
