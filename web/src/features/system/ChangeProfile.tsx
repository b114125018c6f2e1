import type { Schemas } from '../../api/client';
import { upkeepActions } from '../../api/upkeepActions';
import { providerOf } from '../../lib/providers';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';

type Profile = Schemas['ProfileShown'];
const TEXTS = ['aws_profile', 'region', 'default_project', 'host'] as const;
const RATES = ['cpu_hour', 'gb_hour', 'gpu_hour'] as const;

/** A button that changes a profile; an empty field has no value any more. */
export function ChangeProfile({ profile }: { readonly profile: Profile }) {
  return (
    <DialogButton
      text={t.profile.change}
      label={t.profile.changeOf(profile.name)}
      button={t.save}
      fields={[
        {
          id: 'provider',
          label: t.system.provider,
          value: profile.provider,
          options: Object.entries(t.system.providers).map(([value, label]) => ({ value, label })),
        },
        ...TEXTS.map((id) => ({
          id,
          label: t.profile.fields[id],
          value: profile[id] ?? '',
          optional: true,
        })),
        ...RATES.map((id) => ({
          id,
          label: t.profile.fields[id],
          value: String(profile[id] ?? ''),
          kind: 'number' as const,
          optional: true,
        })),
      ]}
      act={(values) => upkeepActions.changeProfile(profile.name, changeOf(profile, values))}
    />
  );
}

/** What differs from the profile; null removes a value. */
function changeOf(
  profile: Profile,
  values: Readonly<Record<string, string>>,
): Schemas['ProfileChange'] {
  const provider = providerOf(values['provider']);
  const texts = TEXTS.filter((id) => values[id] !== (profile[id] ?? ''));
  const rates = RATES.filter((id) => values[id] !== String(profile[id] ?? ''));
  return {
    ...(provider === profile.provider ? {} : { provider }),
    ...Object.fromEntries(texts.map((id) => [id, values[id] || null])),
    ...Object.fromEntries(rates.map((id) => [id, values[id] === '' ? null : Number(values[id])])),
  };
}
