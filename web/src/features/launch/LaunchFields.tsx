import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { HOURS, type Draft } from '../../lib/order';
import { mayLaunch, useMe } from '../../lib/me';
import { t } from '../../strings';
import { ProfileTiles } from './ProfileTiles';
import { SizeTiles } from './SizeTiles';

/** The fields of a launch beside its template. */
export function LaunchFields({
  draft,
  order,
  priced,
  compared,
  errors,
  edit,
}: {
  readonly draft: Draft;
  /** The order whose price was asked for last, and whether it can be launched. */
  readonly order: Schemas['LaunchRequest'];
  readonly priced: boolean;
  /** Whether it has a price here, or none that another place could not have. */
  readonly compared: boolean;
  readonly errors: ReadonlyMap<string, string>;
  readonly edit: (changes: Readonly<Record<string, string | null>>) => void;
}) {
  const { data: idle = [] } = useQuery(queries.idleProfiles);
  const { data: projects = [] } = useQuery(queries.projects);
  const { data: profiles = [] } = useQuery(queries.profiles);
  const me = useMe();
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
      {profiles.length > 1 && (
        <FormField
          label={t.launch.place}
          description={t.launch.placeWhat}
          errorText={errors.get('profile')}
        >
          <ProfileTiles
            profiles={profiles}
            order={order}
            priced={compared}
            chosen={draft.profile}
            choose={(profile) => edit({ profile })}
          />
        </FormField>
      )}
      <FormField
        label={t.launch.size}
        description={t.launch.sizeWhat}
        errorText={errors.get('size')}
      >
        <SizeTiles
          order={order}
          priced={priced}
          chosen={draft.size}
          choose={(size) => edit({ size, type: null })}
        />
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
