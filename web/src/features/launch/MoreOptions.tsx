import Checkbox from '@cloudscape-design/components/checkbox';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Multiselect from '@cloudscape-design/components/multiselect';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import {
  FLAGS,
  keyOf,
  type LaunchOptions,
  type Parameter,
  TEXTS,
  type TextOption,
} from '../../lib/launchOptions';
import { t } from '../../strings';

/** Where the daemon says what is wrong with an option. */
const FIELDS: Readonly<Record<TextOption, string>> = {
  type: 'instance_type',
  region: 'region',
  disk: 'storage.ebs_volume_size',
  budget: 'budget',
  snapshot: 'from_snapshot',
};

/** Everything else that `prism launch` can be told, and the parameters of the template. */
export function MoreOptions({
  options,
  declared,
  errors,
  edit,
}: {
  readonly options: LaunchOptions;
  readonly declared: Readonly<Record<string, Parameter>>;
  readonly errors: ReadonlyMap<string, string>;
  readonly edit: (changes: Readonly<Record<string, string | null>>) => void;
}) {
  const { data: volumes } = useQuery(queries.volumes);
  const free = [...(volumes?.ebs_volumes ?? []), ...(volumes?.efs_volumes ?? [])];
  const choices = free.map(({ name }) => ({ value: name, label: name }));
  const some =
    Object.values(options.texts).some((it) => it !== '') ||
    options.flags.size + options.volumes.length > 0;
  return (
    <SpaceBetween size="m">
      {Object.entries(declared).map(([name, parameter]) => (
        <FormField
          key={name}
          label={name}
          description={parameter.description}
          constraintText={t.launch.parameter(parameter.type, parameter.choices ?? [])}
          errorText={errors.get(`parameters.${name}`)}
        >
          <Input
            value={options.parameters[name] ?? ''}
            placeholder={parameter.default == null ? '' : String(parameter.default)}
            autoComplete={false}
            onChange={({ detail }) => edit({ [keyOf(name)]: detail.value || null })}
          />
        </FormField>
      ))}
      <ExpandableSection headerText={t.launch.more} defaultExpanded={some}>
        <SpaceBetween size="m">
          {TEXTS.map((name) => (
            <FormField
              key={name}
              label={t.launch.texts[name].label}
              description={t.launch.texts[name].what}
              errorText={errors.get(FIELDS[name])}
            >
              <Input
                value={options.texts[name]}
                type={name === 'disk' ? 'number' : 'text'}
                autoComplete={false}
                spellcheck={false}
                onChange={({ detail }) => edit({ [name]: detail.value || null })}
              />
            </FormField>
          ))}
          <FormField label={t.fields.volumes} description={t.launch.volumesWhat}>
            <Multiselect
              options={choices}
              selectedOptions={options.volumes.map((name) => ({ value: name, label: name }))}
              placeholder={t.launch.noVolumes}
              deselectAriaLabel={({ label }) => t.launch.without(label ?? '')}
              onChange={({ detail }) =>
                edit({
                  volumes: detail.selectedOptions.map(({ value = '' }) => value).join(',') || null,
                })
              }
            />
          </FormField>
          {FLAGS.map((name) => (
            <Checkbox
              key={name}
              checked={options.flags.has(name)}
              description={t.launch.flags[name].what}
              onChange={({ detail }) => edit({ [name]: detail.checked ? '' : null })}
            >
              {t.launch.flags[name].label}
            </Checkbox>
          ))}
        </SpaceBetween>
      </ExpandableSection>
    </SpaceBetween>
  );
}
