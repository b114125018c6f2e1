import type { Schemas } from '../api/client';

type Order = Schemas['LaunchRequest'];
export type Parameter = Schemas['TemplateParameter'];

/** The options of a launch that are given as text, by their names in the address. */
export const TEXTS = ['type', 'region', 'disk', 'budget', 'snapshot'] as const;
export type TextOption = (typeof TEXTS)[number];

/** The options of a launch that are on or off. */
export const FLAGS = ['spot', 'unlimited', 'ports', 'awake', 'restart'] as const;
export type FlagOption = (typeof FLAGS)[number];

/** What is in the part of the launch form that most launches do not need. */
export interface LaunchOptions {
  readonly texts: Readonly<Record<TextOption, string>>;
  readonly flags: ReadonlySet<FlagOption>;
  readonly volumes: readonly string[];
  /** Values of the template's parameters, as they were typed. */
  readonly parameters: Readonly<Record<string, string>>;
}

const PARAMETER = 'p.'; // before the name of a parameter in the address

/** The name of a parameter in the address. */
export const keyOf = (parameter: string): string => `${PARAMETER}${parameter}`;

/** The options as the address has them. */
export function readOptions(search: URLSearchParams): LaunchOptions {
  const text = (name: string) => search.get(name) ?? '';
  return {
    texts: {
      type: text('type'),
      region: text('region'),
      disk: text('disk'),
      budget: text('budget'),
      snapshot: text('snapshot'),
    },
    flags: new Set(FLAGS.filter((name) => search.has(name))),
    volumes: text('volumes')
      .split(',')
      .filter((name) => name !== ''),
    parameters: Object.fromEntries(
      [...search].flatMap(([key, value]) =>
        key.startsWith(PARAMETER) ? [[key.slice(PARAMETER.length), value]] : [],
      ),
    ),
  };
}

/** The fields of a request that the options stand for; the daemon checks their values. */
export function fieldsOf(
  { texts, flags, volumes, parameters }: LaunchOptions,
  declared: Readonly<Record<string, Parameter>>,
): Partial<Order> {
  const values = Object.entries(parameters).flatMap(([name, value]) => {
    const parameter = declared[name];
    return parameter === undefined ? [] : [[name, valueOf(parameter, value)] as const];
  });
  return {
    ...(texts.type === '' ? {} : { instance_type: texts.type }),
    ...(texts.region === '' ? {} : { region: texts.region }),
    ...(texts.disk === '' ? {} : { storage: { ebs_volume_size: Number(texts.disk) } }),
    ...(texts.budget === '' ? {} : { budget: texts.budget }),
    ...(texts.snapshot === '' ? {} : { from_snapshot: texts.snapshot }),
    ...(flags.has('spot') ? { spot: true } : {}),
    ...(flags.has('unlimited') ? { unlimited: true } : {}),
    ...(flags.has('ports') ? { open_ports: true } : {}),
    ...(flags.has('awake') ? { hibernation: false } : {}),
    ...(flags.has('restart') ? { restart: true } : {}),
    ...(volumes.length === 0 ? {} : { volumes: [...volumes] }),
    ...(values.length === 0 ? {} : { parameters: Object.fromEntries(values) }),
  };
}

/** A value of the type that the template declares; what does not fit is sent as it was typed. */
function valueOf({ type }: Parameter, text: string): string | number | boolean {
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if ((type === 'integer' || type === 'number') && text.trim() !== '' && !isNaN(Number(text)))
    return Number(text);
  return text;
}

/** The same options for `prism launch`, each with its value, if it takes one. */
export function optionsOfCommand(order: Order): readonly (readonly [string, string?])[] {
  const { storage, parameters = {}, volumes = [] } = order;
  const size = storage?.ebs_volume_size;
  return [
    ...(order.instance_type ? [['--instance-type', order.instance_type] as const] : []),
    ...(order.region ? [['--region', order.region] as const] : []),
    ...(typeof size === 'number' ? [['--disk', String(size)] as const] : []),
    ...(order.from_snapshot ? [['--from-snapshot', order.from_snapshot] as const] : []),
    ...volumes.map((name) => ['--volume', name] as const),
    ...Object.entries(parameters).map(
      ([name, value]) => ['--parameter', `${name}=${String(value)}`] as const,
    ),
    ...(order.spot === true ? [['--spot'] as const] : []),
    ...(order.unlimited === true ? [['--unlimited'] as const] : []),
    ...(order.open_ports === true ? [['--open-ports'] as const] : []),
    ...(order.hibernation === false ? [['--no-hibernation'] as const] : []),
    ...(order.restart === true ? [['--restart'] as const] : []),
  ];
}
