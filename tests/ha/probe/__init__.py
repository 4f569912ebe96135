"""What the test sees of Home Assistant from within: states, registries, services; on the loopback, without a login."""

from homeassistant.components.http import HomeAssistantView
from homeassistant.helpers import device_registry, entity_registry


def entity(hass, entry):
    state = hass.states.get(entry.entity_id)
    return {
        "unique_id": entry.unique_id,
        "entity_id": entry.entity_id,
        "device_id": entry.device_id,
        "name": entry.name,
        "disabled": entry.disabled_by,
        "category": entry.entity_category,
        "state": state.state if state else None,
        "attributes": dict(state.attributes) if state else {},
        "changed": state.last_updated.timestamp() if state else None,
    }


class Sight(HomeAssistantView):
    url = "/probe/sight"
    name = "probe:sight"
    requires_auth = False

    async def get(self, request):
        hass = request.app["hass"]
        entities = entity_registry.async_get(hass).entities.values()
        devices = device_registry.async_get(hass).devices.values()
        return self.json(
            {
                "running": hass.is_running,
                "entities": [entity(hass, e) for e in entities if e.platform == "mqtt"],
                "devices": [
                    {
                        "id": d.id,
                        "identifiers": [i for _, i in d.identifiers],
                        "name": d.name,
                        "manufacturer": d.manufacturer,
                        "model": d.model,
                        "sw_version": d.sw_version,
                        "via": d.via_device_id,
                        "url": d.configuration_url,
                    }
                    for d in devices
                ],
            }
        )


class Deed(HomeAssistantView):
    url = "/probe/deed"
    name = "probe:deed"
    requires_auth = False

    async def post(self, request):
        hass, wish = request.app["hass"], await request.json()
        if "rename" in wish:
            entity_registry.async_get(hass).async_update_entity(wish["rename"], name=wish["name"])
        elif "enable" in wish:
            entity_registry.async_get(hass).async_update_entity(wish["enable"], disabled_by=None)
        elif "energy" in wish:
            return self.json(await energy(hass, wish["energy"]))
        else:
            await hass.services.async_call(wish["domain"], wish["service"], wish["data"], blocking=True)
        return self.json({})


async def energy(hass, sensor):
    """What the Energy dashboard finds wrong with a sensor as a device that uses energy."""
    from homeassistant.components.energy.data import async_get_manager
    from homeassistant.components.energy.validate import async_validate

    manager = await async_get_manager(hass)
    await manager.async_update({"device_consumption": [{"stat_consumption": sensor}]})
    return (await async_validate(hass)).as_dict()


async def async_setup(hass, config):
    hass.http.register_view(Sight())
    hass.http.register_view(Deed())
    return True
