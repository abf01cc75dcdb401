global using CivetWeb.Net.CallbackApi;
