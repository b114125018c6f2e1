import createClient, { type Middleware } from 'openapi-fetch';

import { errorOf, Unreachable } from './errors';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type Instance = Schemas['Instance'];
export type State = Schemas['WorkspaceState'];
export type TemplateItem = Schemas['TemplateItem'];

/** Answers come back as data; whatever else happens is thrown, as an error that can be shown. */
const refusals: Middleware = {
  async onResponse({ response }) {
    if (response.ok) return;
    const body: unknown = await response.json().catch(() => null);
    throw errorOf(response.status, body);
  },
  onError() {
    return new Unreachable();
  },
};

export const api = createClient<paths>({ baseUrl: '/' });
api.use(refusals);

/** The data of an answer; refusals were thrown before it got here. */
export async function data<T>(call: Promise<{ data?: T | undefined }>): Promise<T> {
  const answer = await call;
  return answer.data as T;
}
