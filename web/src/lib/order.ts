import type { Instance, Schemas, TemplateItem } from '../api/client';
import { freeName } from './format';
import { runsHere } from './providers';
import { SIZES, type Size } from './sizes';

/** What the launch form holds; an empty idle profile or project means the default. */
export interface Draft {
  readonly template: string;
  readonly name: string;
  readonly size: Size | null;
  readonly hours: string;
  readonly idle: string;
  readonly project: string;
  /** Where it is launched; empty is the profile in use. */
  readonly profile: string;
}

export const HOURS = ['never', '2', '4', '8', '24', '72', '168'] as const;

/** Whether a template can be launched with the active profile. */
export function usable(
  it: Pick<TemplateItem, 'validation_status' | 'runs_locally'>,
  provider: string,
): boolean {
  return it.validation_status === 'validated' && (!runsHere(provider) || it.runs_locally);
}

/** The template that a first launch is offered: JupyterLab where it is there. */
export function favourite(templates: readonly TemplateItem[], provider: string): string {
  const fit = templates.filter((it) => usable(it, provider));
  const lab = fit.find((it) => it.slug === 'data-science-pip');
  return (lab ?? fit.find((it) => it.services.includes('jupyter')) ?? fit[0])?.slug ?? '';
}

/** The form as the address fills it. */
export function draftOf(
  search: URLSearchParams,
  template: string,
  instances: readonly Instance[],
  project = '',
): Draft {
  const taken = new Set(instances.filter((it) => it.state !== 'terminated').map((it) => it.name));
  return {
    template,
    name: search.get('name') ?? freeName(template, taken),
    size: SIZES.find((it) => it === search.get('size')) ?? null,
    hours: search.get('hours') ?? '8',
    idle: search.get('idle') ?? '',
    project: search.get('project') ?? project,
    profile: search.get('profile') ?? '',
  };
}

/** Whether the price of one order is that of the other: they differ in the name at most. */
export function pricesOf(
  priced: Schemas['LaunchRequest'] | string | undefined,
  order: Schemas['LaunchRequest'],
): boolean {
  if (typeof priced !== 'object') return false;
  return JSON.stringify({ ...priced, name: '' }) === JSON.stringify({ ...order, name: '' });
}

/** The request that a form stands for. */
export function orderOf(
  draft: Draft,
  others: Partial<Schemas['LaunchRequest']> = {},
): Schemas['LaunchRequest'] {
  const hours = Number(draft.hours);
  return {
    name: draft.name,
    template: draft.template,
    // A type stands in place of a size.
    ...(draft.size === null || others.instance_type ? {} : { size: draft.size }),
    ...(hours > 0 ? { ttl_hours: hours } : {}),
    ...(draft.idle === '' ? {} : { idle_profile: draft.idle }),
    ...(draft.project === '' ? {} : { project: draft.project }),
    ...(draft.profile === '' ? {} : { profile: draft.profile }),
    ...others,
  };
}
