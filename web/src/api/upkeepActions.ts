import { api, data, type Schemas } from './client';

/** What is done to the daemon's computer, to profiles and to limits. */
export const upkeepActions = {
  changeProfile: (name: string, body: Schemas['ProfileChange']) =>
    data(api.PUT('/api/v1/profiles/{name}', { params: { path: { name } }, body })),
  clean: (rehearsal: boolean) =>
    data(api.POST('/api/v1/daemon/clean', { body: { dry_run: rehearsal } })),
  recover: (body: Schemas['RecoverRequest']) => data(api.POST('/api/v1/recover', { body })),
  setLimit: (body: Schemas['LimitChange']) => data(api.PUT('/api/v1/limits', { body })),
  /** An owner names the project. */
  removeLimit: (id: string, project: string | null) =>
    data(
      api.DELETE('/api/v1/limits/{id}', {
        params: { path: { id }, query: project === null ? {} : { project } },
      }),
    ),
  addIdleProfile: (body: Schemas['NewIdleProfile']) =>
    data(api.POST('/api/v1/idle/profiles', { body })),
  removeIdleProfile: (name: string) =>
    data(api.DELETE('/api/v1/idle/profiles/{name}', { params: { path: { name } } })),
  /** Destroys a copy at its destination, not only in the list here. */
  deleteCopy: (id: string, destination: string) =>
    data(
      api.DELETE('/api/v1/remote-copies/{id}', {
        params: { path: { id }, query: { destination } },
      }),
    ),
} as const;
