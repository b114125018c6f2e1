import { api, data, type Schemas } from './client';

const at = (name: string) => ({ params: { path: { name } } });

/** The verbs of a workspace that need nothing but its name. */
export const LIFECYCLE = ['stop', 'start', 'hibernate', 'resume'] as const;
export type Lifecycle = (typeof LIFECYCLE)[number];

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
  move: (name: string, project: string) =>
    data(api.POST('/api/v1/instances/{name}/move', { ...at(name), body: { project } })),
} as const;
