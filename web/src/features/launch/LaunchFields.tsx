import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { HOURS, type Draft } from '../../lib/order';
import { SIZES } from '../../lib/sizes';
import { useNarrow } from '../../lib/useNarrow';
import { mayLaunch, useMe } from '../../lib/me';
import { t } from '../../strings';

/** The fields of a launch beside its template. */
export function LaunchFields({
  draft,
  errors,
  edit,
}: {
  readonly draft: Draft;
  readonly errors: ReadonlyMap<string, string>;
  readonly edit: (changes: Partial<Record<keyof Draft, string | null>>) => void;
}) {
  const { data: idle = [] } = useQuery(queries.idleProfiles);
  const { data: projects = [] } = useQuery(queries.projects);
  const narrow = useNarrow();
  const me = useMe();
  const sizes = [
    { value: '', label: t.launch.sizeDefault },
    ...SIZES.map((it) => ({ value: it, label: it })),
  ];
  const hours = HOURS.map((it) => ({ value: it, label: t.launch.hours(it) }));
  const rules = [
    { value: '', label: t.launch.idleDefault },
    ...idle.map((it) => ({ value: it.name, label: it.name, description: it.description })),
  ];
  const owners = [
    ...(me?.operator === true ? [{ value: '', label: t.launch.noProject }] : []),
    ...projects
      .filter((it) => mayLaunch(me, it.id))
      .map((it) => ({ value: it.name, label: it.name })),
  ];
  const picked = <T extends { value: string }>(list: readonly T[], value: string) =>
    list.find((it) => it.value === value) ?? { value, label: value };
  return (
    <SpaceBetween size="m">
      <FormField
        label={t.fields.name}
        description={t.launch.nameWhat}
        errorText={errors.get('name')}
      >
        <Input
          value={draft.name}
          autoComplete={false}
          spellcheck={false}
          onChange={({ detail }) => edit({ name: detail.value })}
        />
      </FormField>
      <FormField
        label={t.launch.size}
        description={t.launch.sizeWhat}
        errorText={errors.get('size')}
      >
        {narrow ? (
          <Select
            selectedOption={picked(sizes, draft.size ?? '')}
            options={sizes}
            onChange={({ detail }) => edit({ size: detail.selectedOption.value || null })}
          />
        ) : (
          <SegmentedControl
            label={t.launch.size}
            selectedId={draft.size ?? 'default'}
            options={[
              { id: 'default', text: t.launch.sizeDefault },
              ...SIZES.map((id) => ({ id, text: id })),
            ]}
            onChange={({ detail }) =>
              edit({ size: detail.selectedId === 'default' ? null : detail.selectedId })
            }
          />
        )}
      </FormField>
      <FormField label={t.launch.ttl} description={t.launch.ttlWhat}>
        <Select
          selectedOption={picked(hours, draft.hours)}
          options={hours}
          onChange={({ detail }) => edit({ hours: detail.selectedOption.value ?? null })}
        />
      </FormField>
      <FormField label={t.settings.idle} description={t.launch.idleWhat}>
        <Select
          selectedOption={picked(rules, draft.idle)}
          options={rules}
          onChange={({ detail }) => edit({ idle: detail.selectedOption.value || null })}
        />
      </FormField>
      {projects.length > 0 && (
        <FormField label={t.fields.project} description={t.launch.projectWhat}>
          <Select
            selectedOption={picked(owners, draft.project)}
            options={owners}
            onChange={({ detail }) => edit({ project: detail.selectedOption.value || null })}
          />
        </FormField>
      )}
    </SpaceBetween>
  );
}
