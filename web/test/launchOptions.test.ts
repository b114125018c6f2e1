import { describe, expect, it } from 'vitest';

import { fieldsOf, optionsOfCommand, type Parameter, readOptions } from '../src/lib/launchOptions';

const parameter = (type: Parameter['type']) => ({ type, description: '' }) as Parameter;
const declared = {
  cores: parameter('integer'),
  gpu: parameter('boolean'),
  path: parameter('string'),
};
const fields = (text: string) => fieldsOf(readOptions(new URLSearchParams(text)), declared);

describe('the other options of a launch', () => {
  it('are nothing where nothing is chosen', () => {
    expect(fields('name=mine&size=L')).toEqual({});
  });
  it('are fields of the request', () => {
    const text = 'type=t3.large&region=eu-west-1&disk=50&budget=grant&snapshot=monday';
    expect(fields(`${text}&spot=&unlimited=&ports=&awake=&restart=&volumes=a,b`)).toEqual({
      instance_type: 't3.large',
      region: 'eu-west-1',
      storage: { ebs_volume_size: 50 },
      budget: 'grant',
      from_snapshot: 'monday',
      spot: true,
      unlimited: true,
      open_ports: true,
      hibernation: false,
      restart: true,
      volumes: ['a', 'b'],
    });
  });
  it('have parameters of the declared types, and only declared ones', () => {
    expect(fields('p.cores=4&p.gpu=true&p.path=4&p.other=1')).toEqual({
      parameters: { cores: 4, gpu: true, path: '4' },
    });
    expect(fields('p.cores=many')).toEqual({ parameters: { cores: 'many' } });
  });
  it('are options of the command', () => {
    const order = {
      name: 'mine',
      template: 'lab',
      ...fields('disk=50&p.cores=4&awake=&volumes=a'),
    };
    expect(optionsOfCommand(order)).toEqual([
      ['--disk', '50'],
      ['--volume', 'a'],
      ['--parameter', 'cores=4'],
      ['--no-hibernation'],
    ]);
  });
});
