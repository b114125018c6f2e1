import { useQuery } from '@tanstack/react-query';

import type { Instance, Schemas } from '../api/client';
import { queries } from '../api/queries';

/** One service of a running workspace, and where a browser finds it. */
export interface Opening {
  readonly service: string;
  readonly href: string;
  readonly username: string | null;
  readonly password: string | null;
}

const JUPYTER = /^jupyter/;

/** The address of a service, with the token that lets the browser in. */
export function addressOf(service: string, url: string, token: string | undefined): string {
  const path = JUPYTER.test(service) ? '/lab' : '/';
  const base = url.replace(/\/+$/, '');
  if (token) return `${base}${path}?token=${encodeURIComponent(token)}`;
  return path === '/' ? base : `${base}${path}`;
}

/** What can be opened, the main service first; addresses that are no web pages are left out. */
export function openings(
  connection: Schemas['WorkspaceConnection'],
  ways: readonly Schemas['ServiceUrl'][],
): readonly Opening[] {
  const own = new Map(ways.map((way) => [way.service, way.url]));
  const services = Object.entries(connection.services).map(([service, access]) => ({
    service,
    href: addressOf(service, own.get(service) ?? access.url, access.token),
    username: access.username ?? null,
    password: access.password ?? null,
  }));
  return services
    .filter((it) => /^https?:\/\//.test(it.href))
    .sort((a, b) => Number(JUPYTER.test(b.service)) - Number(JUPYTER.test(a.service)));
}

/** How to reach a workspace while it runs: SSH and the services. */
export interface Access {
  readonly ssh: Schemas['WorkspaceConnection']['ssh'];
  readonly services: readonly Opening[];
}

/** The access to a running workspace; nothing is read while it does not run. */
export function useAccess(instance: Instance): {
  readonly data: Access | undefined;
  readonly error: Error | null;
  readonly refetch: () => unknown;
} {
  const enabled = instance.state === 'running';
  const connection = useQuery({ ...queries.connection(instance.workspace), enabled });
  const ports = useQuery({ ...queries.ports(instance.workspace), enabled });
  const known = enabled && connection.data !== undefined && ports.data !== undefined;
  return {
    data: known
      ? { ssh: connection.data.ssh, services: openings(connection.data, ports.data) }
      : undefined,
    error: connection.error ?? ports.error,
    refetch: () => Promise.all([connection.refetch(), ports.refetch()]),
  };
}
