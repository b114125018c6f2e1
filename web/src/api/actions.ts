import { api, data, type Schemas } from './client';

const LONGEST = 120; // seconds to wait for what is under way

const at = (name: string) => ({ params: { path: { name } } });
const till = (name: string) => ({ params: { path: { name }, query: { wait: LONGEST } } });

/** The verbs of a workspace that need nothing but its name. */
export const LIFECYCLE = ['stop', 'start', 'hibernate', 'resume'] as const;
export type Lifecycle = (typeof LIFECYCLE)[number];

/** The same verb again changes nothing, and is answered once it is done. */
export const finished = {
  stop: (name: string) => data(api.POST('/api/v1/instances/{name}/stop', till(name))),
  start: (name: string) => data(api.POST('/api/v1/instances/{name}/start', till(name))),
  hibernate: (name: string) => data(api.POST('/api/v1/instances/{name}/hibernate', till(name))),
  resume: (name: string) => data(api.POST('/api/v1/instances/{name}/resume', till(name))),
} as const;

export const actions = {
  launch: async (order: Schemas['Launch']) =>
    // A launch that is not a dry run is answered 201.
    (await data(api.POST('/api/v1/instances/launch', { body: order }))) as Schemas['Launched'],
  stop: (name: string) => data(api.POST('/api/v1/instances/{name}/stop', at(name))),
  start: (name: string) => data(api.POST('/api/v1/instances/{name}/start', at(name))),
  hibernate: (name: string) => data(api.POST('/api/v1/instances/{name}/hibernate', at(name))),
  resume: (name: string) => data(api.POST('/api/v1/instances/{name}/resume', at(name))),
  terminate: (name: string, backup: boolean) =>
    data(
      api.POST('/api/v1/instances/{name}/terminate', {
        ...at(name),
        body: { confirm: 'DELETE', backup_ebs: backup },
      }),
    ),
  extend: (name: string, hours: number) =>
    data(api.POST('/api/v1/instances/{name}/extend', { ...at(name), body: { hours } })),
  keepAwake: (name: string, minutes: number) =>
    data(api.POST('/api/v1/idle/instances/{name}/keep-awake', { ...at(name), body: { minutes } })),
  configureIdle: (name: string, profile: string, enabled: boolean) =>
    data(
      api.POST('/api/v1/idle/instances/{name}/configure', {
        ...at(name),
        body: { profile, enabled },
      }),
    ),
  resize: (name: string, size: NonNullable<Schemas['Resizing']['size']>) =>
    data(api.POST('/api/v1/instances/{name}/resize', { ...at(name), body: { size } })),
  attach: (name: string, instance: string) =>
    data(api.POST('/api/v1/storage/volumes/{name}/attach', { ...at(name), body: { instance } })),
  detach: (name: string, instance: string) =>
    data(api.POST('/api/v1/storage/volumes/{name}/detach', { ...at(name), body: { instance } })),
  move: (name: string, project: string) =>
    data(api.POST('/api/v1/instances/{name}/move', { ...at(name), body: { project } })),
  makeFolder: (name: string, path: string) =>
    data(api.POST('/api/v1/instances/{name}/files/folder', { ...at(name), body: { path } })),
  renameFile: (name: string, path: string, to: string) =>
    data(api.POST('/api/v1/instances/{name}/files/rename', { ...at(name), body: { path, to } })),
  removeFile: (name: string, path: string, recursive: boolean) =>
    data(
      api.DELETE('/api/v1/instances/{name}/files', {
        params: { path: { name }, query: { path, recursive } },
      }),
    ),
} as const;
