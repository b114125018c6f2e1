import { api, data, type Schemas } from './client';

/** What is done about notices, webhooks and requests for more. */
export const noticeActions = {
  readNotices: () => data(api.POST('/api/v1/notices/read', { body: {} })),
  changeNotices: (body: Schemas['SettingsChange']) =>
    data(api.PUT('/api/v1/notices/settings', { body })),
  testNotice: () => data(api.POST('/api/v1/notices/test')),
  addWebhook: (url: string) => data(api.POST('/api/v1/webhooks', { body: { url } })),
  removeWebhook: (id: string) =>
    data(api.DELETE('/api/v1/webhooks/{id}', { params: { path: { id } } })),
  testWebhook: (id: string) =>
    data(api.POST('/api/v1/webhooks/{id}/test', { params: { path: { id } } })),
  requestMore: (body: Schemas['NewMoreRequest']) => data(api.POST('/api/v1/requests', { body })),
  grantRequest: (id: string) =>
    data(api.POST('/api/v1/requests/{request_id}/grant', { params: { path: { request_id: id } } })),
  refuseRequest: (id: string, reason: string) =>
    data(
      api.POST('/api/v1/requests/{request_id}/refuse', {
        params: { path: { request_id: id } },
        body: { reason },
      }),
    ),
  withdrawRequest: (id: string) =>
    data(api.DELETE('/api/v1/requests/{request_id}', { params: { path: { request_id: id } } })),
} as const;
