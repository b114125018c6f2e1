import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { useOperator } from '../../lib/me';
import { PROVIDERS, providerOf } from '../../lib/providers';
import { t } from '../../strings';
import { ChangeProfile } from './ChangeProfile';
import { DialogButton } from '../../ui/DialogButton';
import { Confirm } from '../../ui/Confirm';
import { ListTable, nameColumn } from '../../ui/ListTable';
import { useNotify } from '../../ui/Notifications';

type Profile = Schemas['ProfileShown'];

/** Where workspaces are launched; one of them is active. */
export function ProfileTable({ profiles }: { readonly profiles: readonly Profile[] }) {
  const { notify, failed } = useNotify();
  const operator = useOperator();
  const use = async (name: string) => {
    try {
      await actions.useProfile(name);
      notify({ type: 'success', header: t.system.used(name) });
    } catch (error) {
      failed(t.system.use, error as Error);
    }
  };
  return (
    <ListTable<Profile>
      title={t.system.profiles}
      what={t.system.profilesWhat}
      items={profiles}
      by="name"
      actions={
        operator && (
          <DialogButton
            text={t.system.newProfile}
            button={t.money.create}
            fields={[
              { id: 'name', label: t.fields.name },
              {
                id: 'provider',
                label: t.system.provider,
                value: 'local',
                options: PROVIDERS.map((value) => ({ value, label: t.system.providers[value] })),
              },
              { id: 'aws', label: t.system.awsProfile, optional: true },
              { id: 'region', label: t.fields.region, optional: true },
              { id: 'host', label: t.system.host, optional: true },
            ]}
            act={({ name = '', provider, aws = '', region = '', host = '' }) =>
              actions.createProfile({
                name,
                provider: providerOf(provider),
                ...(aws === '' ? {} : { aws_profile: aws }),
                ...(region === '' ? {} : { region }),
                ...(host === '' ? {} : { host }),
              })
            }
          />
        )
      }
      columns={[
        nameColumn(),
        {
          id: 'provider',
          header: t.system.provider,
          cell: (it) => t.system.providers[it.provider],
        },
        { id: 'aws', header: t.system.awsProfile, cell: (it) => it.aws_profile ?? t.none },
        { id: 'region', header: t.fields.region, cell: (it) => it.region ?? t.none },
        {
          id: 'actions',
          header: t.workspaces.actions,
          minWidth: 270,
          cell: (it) => (
            <SpaceBetween direction="horizontal" size="xs">
              {it.active ? (
                t.system.active
              ) : (
                <Button ariaLabel={t.system.useOf(it.name)} onClick={() => void use(it.name)}>
                  {t.system.use}
                </Button>
              )}
              {operator && <ChangeProfile profile={it} />}
              {operator && !it.active && (
                <Confirm
                  text={t.files.remove}
                  label={t.money.removeOf(it.name)}
                  word={it.name}
                  warning={t.system.removeProfile}
                  act={() => actions.removeProfile(it.name)}
                />
              )}
            </SpaceBetween>
          ),
        },
      ]}
    />
  );
}
